import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findAllProblems, isRefusal } from './checks.ts';
import { readFindings } from './load.ts';

/** As the audit's pod logs it. */
function judged(failures: Record<string, number>, problems: string[] = []) {
  return readFindings(`load: 3 confirmed\n${JSON.stringify({ run: { failures }, problems })}\n`);
}

test('a check fails for a request that failed, and for what the audit found', () => {
  const none = () => false;
  assert.deepEqual(findAllProblems(judged({}), none), []);
  assert.deepEqual(
    findAllProblems(judged({ ECONNRESET: 2 }, ['1 confirmed ids are not in MongoDB.']), none),
    ['2 requests failed: ECONNRESET.', '1 confirmed ids are not in MongoDB.'],
  );
  assert.deepEqual(findAllProblems(judged({ '503 overloaded': 1 }), none).length, 1);
});

test('while the emulator is away nothing but 503 with Retry-After may be answered', () => {
  const allowed = { '503 publish_unconfirmed': 4, '503 publish_not_sent': 1 };
  assert.deepEqual(findAllProblems(judged(allowed), isRefusal), []);
  for (const kind of ['503', '503 publish_unconfirmed without Retry-After', '500 internal', 'ECONNRESET']) {
    assert.deepEqual(findAllProblems(judged({ ...allowed, [kind]: 1 }), isRefusal), [
      `1 requests failed: ${kind}.`,
    ]);
  }
});

test('an audit that judged nothing is an error with what it said', () => {
  assert.throws(() => readFindings('http://api/readyz has to answer 200\n'), /nothing was judged: .*readyz/);
});
