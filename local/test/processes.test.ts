import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startProcess } from '../../test/process.ts';
import { endProcess, isAlive, startOf } from '../processes.ts';

/** A process in a group of its own, as the children are. */
async function startLeader(script: string) {
  const source = `const { spawn } = require('node:child_process');
    const child = spawn(process.execPath, ['-e', ${JSON.stringify(script)}], { detached: true });
    child.stdout.once('data', () => console.log('started', child.pid));`;
  const parent = await startProcess({
    command: process.execPath,
    args: ['-e', source],
    ready: /started \d+/,
  });
  const pid = Number(/started (\d+)/.exec(parent.output())?.[1]);
  return { parent, recorded: { name: 'child', pid, startedAt: startOf(pid) ?? '' } };
}

const ready = "setInterval(() => {}, 1000); console.log('ready');";

test('knows a process by id and start time', () => {
  const startedAt = startOf(process.pid);
  assert.ok(startedAt);
  assert.equal(startOf(process.pid), startedAt);
  assert.equal(isAlive({ name: 'this', pid: process.pid, startedAt }), true);
  assert.equal(isAlive({ name: 'this', pid: process.pid, startedAt: `${startedAt}0` }), false);
});

test('ends a process with SIGTERM', async () => {
  const { parent, recorded } = await startLeader(ready);
  await using _ = parent;
  assert.equal(await endProcess(recorded, { graceMs: 20_000 }), 'ended');
  assert.equal(isAlive(recorded), false);
  assert.equal(await endProcess(recorded, { graceMs: 20_000 }), 'gone');
});

test('kills a process that takes no SIGTERM', async () => {
  const { parent, recorded } = await startLeader(`process.on('SIGTERM', () => {}); ${ready}`);
  await using _ = parent;
  assert.equal(await endProcess(recorded, { graceMs: 100 }), 'killed');
  assert.equal(isAlive(recorded), false);
});

test('ends a process that is stopped', async () => {
  const { parent, recorded } = await startLeader(ready);
  await using _ = parent;
  process.kill(recorded.pid, 'SIGSTOP');
  assert.equal(await endProcess(recorded, { graceMs: 20_000 }), 'ended');
});

test('does not touch a process that got the id later', async () => {
  const { parent, recorded } = await startLeader(ready);
  await using _ = parent;
  const recycled = { ...recorded, startedAt: 'of another process' };
  assert.equal(await endProcess(recycled, { graceMs: 100 }), 'gone');
  assert.equal(isAlive(recorded), true);
  await endProcess(recorded, { graceMs: 20_000 });
});
