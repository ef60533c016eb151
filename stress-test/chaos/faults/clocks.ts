/**
 * The clock of one process jumps by an hour, forwards or backwards, and later back: it runs under libfaketime (Debian's
 * package; https://github.com/wolfcw/libfaketime), which looks once a second at a file for what time it is. The
 * monotonic clock goes on as it does when somebody sets a machine's time.
 */
import { globSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { createFolder } from '../../../test/process.ts';
import type { PartName } from '../part.ts';
import type { Fault } from './fault.ts';

const names: readonly PartName[] = ['api', 'writer', 'emulator', 'mongodb'];

const cacheSeconds = 1;

/** Until libfaketime has looked at its file. */
const noticeMs = cacheSeconds * 1_000;

export const clockFaults: Fault[] = names.map((name) => ({
  name: `clock-${name}`,
  touches: [name],
  missing: () => (findLibrary() ? undefined : "needs Debian's package libfaketime"),
  async run({ parts }, { holdMs, random, note }) {
    const file = join(createFolder(), 'time');
    writeFileSync(file, '+0\n');
    await parts[name].stop();
    await parts[name].start({
      LD_PRELOAD: findLibrary(),
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_CACHE_DURATION: String(cacheSeconds),
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    });
    const jump = random.pick(['+1h', '-1h']);
    note(jump);
    writeFileSync(file, `${jump}\n`);
    await pause(noticeMs + holdMs);
    // And there it stays, until it is started again.
    writeFileSync(file, '+0\n');
    await pause(noticeMs);
  },
}));

function findLibrary(): string | undefined {
  return globSync('/usr/lib/*/faketime/libfaketimeMT.so.1')[0];
}
