/** The chaos run: what it plans and refuses, how it judges, and a short one against real parts. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { BadUsage } from '../../command-line/flags.ts';
import { startProcess } from '../../test/process.ts';
import { needs } from '../../test/programs.ts';
import { readOptions } from '../chaos/options.ts';
import { faults, planRounds } from '../chaos/plan.ts';
import { findChaosProblems } from '../chaos/report.ts';
import type { RoundResult } from '../chaos/round.ts';

const alone = faults.map((fault) => [fault]);

function plan(seed: string, rounds: number, among = alone) {
  return planRounds(seed, among)
    .take(rounds)
    .map((strikes) => strikes.map(({ fault, atMs, holdMs }) => `${fault.name} ${atMs} ${holdMs}`))
    .toArray();
}

test('the same seed plans the same faults at the same moments, and another seed others', () => {
  assert.deepEqual(plan('7', 100), plan('7', 100));
  assert.notDeepEqual(plan('7', 100), plan('8', 100));
});

test('each fault strikes alone once before one strikes again, with a pair after each', () => {
  const rounds = [...planRounds('7', alone).take(2 * faults.length)];
  const singles = rounds.filter((strikes) => strikes.length === 1).map(([strike]) => strike?.fault.name);
  assert.deepEqual(singles.sort(), faults.map(({ name }) => name).sort());
  const pairs = rounds.filter((strikes) => strikes.length === 2);
  assert.equal(pairs.length, faults.length);
  for (const pair of pairs) {
    const touched = pair.flatMap(({ fault }) => fault.touches);
    assert.equal(new Set(touched).size, touched.length, 'two faults break the same');
  }
});

test('by default each fault that is named strikes alone once, also where pairs strike between them', () => {
  const among = [
    ['kill-api', 'kill-writer'],
    ['kill-api', 'stop-api'],
    ['kill-api', 'kill-emulator', 'stop-api'],
    ['kill-api'],
  ];
  for (const names of among) {
    const options = readOptions(['--only', names.join(), '--seed', '7']);
    assert.ok(options !== 'help');
    const rounds = [...planRounds(options.seed, options.among).take(options.rounds)];
    const singles = rounds.filter((strikes) => strikes.length === 1).map(([strike]) => strike?.fault.name);
    assert.deepEqual(singles.sort(), names);
  }
});

test('bad flags are named', () => {
  const usages: [string[], RegExp][] = [
    [['--rounds', '0'], /--rounds: wants a whole number/],
    [['--rounds', '1001'], /--rounds: wants a whole number/],
    [['--seed', ''], /--seed: wants a text/],
    [['--only', 'kill-all'], /--only: there is no "kill-all"/],
    [['--only', 'kill-api+stop-api'], /--only: kill-api\+stop-api break the same/],
    [['--once'], /--once/],
  ];
  for (const [args, message] of usages) {
    assert.throws(
      () => readOptions(args),
      (error: Error) => error instanceof BadUsage && message.test(error.message),
    );
  }
});

test('faults that are named together strike together, and only they', () => {
  const options = readOptions(['--only', 'kill-api+stop-mongodb,kill-writer', '--seed', '1']);
  assert.ok(options !== 'help');
  assert.equal(options.rounds, 2);
  const rounds = plan(options.seed, 6, options.among).map((round) => round.length);
  assert.deepEqual(rounds.toSorted(), [1, 1, 1, 2, 2, 2]);
});

describe('a run', () => {
  const round: RoundResult = {
    faults: [{ name: 'kill-api', atMs: 1, holdMs: 1, notes: [] }],
    seconds: 1,
    keys: 10,
    unconfirmed: 0,
    repeats: 3,
    answersAfterMs: 1,
    storedAfterMs: 1,
    missing: 0,
    double: 0,
    peakBytes: { api: 0, writer: 0, emulator: 0, mongodb: 0 },
    deaths: [],
    problems: [],
  };
  const judge = (change: Partial<RoundResult>, documents: number, double = 0) =>
    findChaosProblems({ seed: '1', rounds: [{ ...round, ...change }], documents, double });

  test('passes with exactly 5 documents for each key', () => {
    assert.deepEqual(judge({}, 50), []);
  });

  test('fails with a document too few or too many, a payload twice, a problem of a round', () => {
    assert.deepEqual(judge({}, 49), ['49 documents, not 50 of 10 keys.']);
    assert.deepEqual(judge({}, 51), ['51 documents, not 50 of 10 keys.']);
    assert.deepEqual(judge({}, 50, 1), ['1 documents have the payload of another one.']);
    assert.deepEqual(judge({ problems: ['Late.'] }, 50), ['Round 1, kill-api: Late.']);
  });
});

test('nothing is lost or doubled when parts are killed, cut off, silent, and answer errors, and clients repeat', {
  timeout: 170_000,
  ...needs('mongodb'),
}, async () => {
  const only = [
    'kill-emulator+stop-mongodb',
    'cut-api-emulator+error-write-errors',
    'error-document-too-large+kill-api',
    'writer-dies-before-ack',
    'client-repeats+silent-writer-mongodb',
  ];
  await using run = await startProcess({
    command: process.execPath,
    args: [join(import.meta.dirname, '../chaos/main.ts'), '--only', only.join(), '--json'],
    ready: /^seed/m,
  });
  await run.exited();
  const json = /^\{.*\}$/m.exec(run.output())?.[0];
  assert.ok(json, run.output());
  const findings = JSON.parse(json) as { rounds: RoundResult[]; double: number };
  assert.equal(findings.rounds.length, only.length);
  for (const { missing, double, keys, unconfirmed, storedAfterMs } of findings.rounds) {
    assert.ok(keys > 0, run.output());
    assert.deepEqual([missing, double, unconfirmed], [0, 0, 0], run.output());
    assert.notEqual(storedAfterMs, null, run.output());
  }
  assert.equal(findings.double, 0, run.output());
});
