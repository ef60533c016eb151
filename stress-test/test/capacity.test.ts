/** The capacity calculator: its arithmetic, and its command line. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { createFolder } from '../../test/process.ts';
import { computeCapacity } from '../capacity/capacity.ts';

const run = promisify(execFile);
const main = join(import.meta.dirname, '../capacity/main.ts');
const costs = { api: 70, broker: 20, writer: 40, mongoDb: 100 };

test('what comes in faster than one node stores waits, and drains at the node’s speed', () => {
  const demand = { users: 10_000, thinkSeconds: 0.9, answerSeconds: 0.1, loadSeconds: 60 };
  const capacity = computeCapacity(demand, costs);
  assert.equal(capacity.requestsPerSecond, 10_000);
  assert.equal(capacity.storedPerSecondMax, 25_000);
  assert.equal(capacity.backlogDocuments, 25_000 * 60);
  assert.equal(capacity.backlogBytes, 25_000 * 60 * 275);
  assert.equal(capacity.drainSeconds, 60);
  assert.equal(capacity.apiPods, 1);
  assert.equal(capacity.mongoDbNodes, 3);
});

test('what one node stores leaves no backlog', () => {
  const demand = { users: 1_000, thinkSeconds: 4.9, answerSeconds: 0.1, loadSeconds: 600 };
  const capacity = computeCapacity(demand, costs);
  assert.equal(capacity.backlogDocuments, 0);
  assert.equal(capacity.drainSeconds, 0);
  assert.equal(capacity.mongoDbNodes, 1);
  assert.equal(capacity.isEmulatorEnough, true);
});

test('npm run capacity takes its costs from a run of the bench', async () => {
  const file = join(createFolder(), 'bench.json');
  const figure = (part: string, ...ours: number[]) => ({
    row: 'steady',
    name: `CPU a request, ${part}`,
    values: { ours },
  });
  const all = [figure('api', 60, 80, 70), figure('broker', 20), figure('writer', 40), figure('MongoDB', 100)];
  writeFileSync(file, JSON.stringify({ all }));
  const { stdout } = await run(process.execPath, [main, '--users', '5000', '--bench', file, '--json']);
  assert.deepEqual(JSON.parse(stdout).costs, costs);
  const table = await run(process.execPath, [main, '--users', '1000000', '--think', '5', '--bench', file]);
  assert.match(table.stdout, /^1,000,000 users, 5 s of think time/);
  assert.match(table.stdout, /^CPU a request: api 70, broker 20, writer 40, MongoDB 100 µs$/m);
  assert.match(table.stdout, /^api pods +20 /m);
});

test('npm run capacity says what it wants when its flags are wrong', async () => {
  for (const [flags, message] of [
    [[], /^--users: wants/],
    [['--users', '0'], /^--users: wants a number from 1 to 100000000/],
    [['--users', '5', '--think', '-1'], /^.*--think/],
    [['--users', '5', '--duration', 'x'], /^--duration: wants a time/],
    [['--users', '5', '--bench', '/dev/null'], /^--bench: wants a bench\.json/],
  ] as const) {
    await assert.rejects(
      run(process.execPath, [main, ...flags]),
      ({ code, stderr }) => code === 2 && message.test(stderr),
    );
  }
});
