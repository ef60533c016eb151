import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createFolder, startProcess } from './process.ts';
import { until } from './until.ts';

test('a process that is started again shows its output before it is ready', async () => {
  const obstacle = join(createFolder(), 'obstacle');
  const script = 'echo waiting; while [ -e "$0" ]; do sleep 0.01; done; echo ready; exec sleep 60';
  await using running = await startProcess({
    command: 'sh',
    args: ['-c', script, obstacle],
    ready: /ready/,
  });
  await running.kill();
  writeFileSync(obstacle, '');
  const restarted = running.restart();
  await until(running.output, (output) => output === 'waiting\n');
  rmSync(obstacle);
  await restarted;
  assert.equal(running.output(), 'waiting\nready\n');
});
