/** What a process says, to a program and to a person. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { createFolder, startProcess as startAnyProcess } from '../../test/process.ts';
import { startProcess } from './process.ts';

const main = join(import.meta.dirname, '../src/main.js');

test('logs one JSON line each, with the words that tools wait for', async (context) => {
  const flags = [`--data-dir=${createFolder()}`, '--durability=process'];
  const emulator = await startProcess(context, flags);
  assert.equal(await emulator.kill('SIGTERM'), 0);
  const lines = emulator
    .output()
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  for (const { time, name } of lines) {
    assert.equal(new Date(time).toISOString(), time);
    assert.equal(name, 'emulator');
  }
  const said = lines.map(({ level, msg }) => `${level} ${msg}`).sort();
  assert.equal(said.length, 3, said.join('\n'));
  assert.match(
    said[0] ?? '',
    new RegExp(`^30 Pub/Sub emulator ready: PUBSUB_EMULATOR_HOST=127.0.0.1:${emulator.port} \\(`),
  );
  assert.equal(said[1], '30 SIGTERM: draining');
  assert.match(said[2] ?? '', /^40 Durability is process: /);
});

test('says the same on a terminal without JSON', async () => {
  const command = `${process.execPath} ${main} --host-port=127.0.0.1:0 --data-dir=${createFolder()}`;
  await using emulator = await startAnyProcess({
    command: 'script',
    args: ['--quiet', '--return', '--command', `exec ${command}`, '/dev/null'],
    ready: /ready: .* ms\)\s/,
  });
  assert.match(
    emulator.output(),
    /^Pub\/Sub emulator ready: PUBSUB_EMULATOR_HOST=127\.0\.0\.1:\d+ \(.*\)\r?\n$/,
  );
});
