/**
 * A disk without room for another page. The emulator then refuses publishes and says why, and goes on when there is
 * room. MongoDB refuses writes, the writer says why and keeps its leases. A mongod then ends itself, because its storage
 * engine gives up; SecantusDB stays and refuses everything. Either is started again when there is room.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Part } from '../part.ts';
import { whyNoDisk } from '../small-disk.ts';
import type { Fault } from './fault.ts';

const pollMs = 50;

export const diskFaults: Fault[] = [
  {
    name: 'full-disk-emulator',
    touches: ['emulator'],
    missing: whyNoDisk,
    async run({ disks, parts }, { holdMs, note }) {
      const said = listen(parts.api);
      disks?.emulator.fill();
      note(`api: "${await said(/No space is left on the disk/)}"`);
      await pause(holdMs);
      disks?.emulator.free();
    },
  },
  {
    name: 'full-disk-mongodb',
    touches: ['mongodb'],
    missing: whyNoDisk,
    async run({ disks, parts }, { holdMs, note }) {
      const said = listen(parts.writer);
      disks?.mongodb.fill();
      note(`writer: "${await said(/bulkWrite failed; leases are kept|waiting for MongoDB/)}"`);
      await pause(holdMs);
      disks?.mongodb.free();
      await parts.mongodb.kill();
      await parts.mongodb.start();
    },
  },
];

/** @returns what waits for a text that the part writes from now on. */
function listen(part: Part): (pattern: RegExp) => Promise<string> {
  const mark = part.output().slice(-markCharacters);
  return async (pattern) => {
    for (;;) {
      const output = part.output();
      const at = output.indexOf(mark);
      // Not there: the part was started again since.
      const found = pattern.exec(at < 0 ? output : output.slice(at + mark.length));
      if (found) return found[0];
      await pause(pollMs);
    }
  };
}

/** More than one line of a log, which has its time in it. */
const markCharacters = 1_000;
