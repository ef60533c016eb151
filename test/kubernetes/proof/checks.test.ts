import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findAllProblems, isRefusal, readDurations } from './checks.ts';
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

test('finds the percentiles in what k6 prints, however wide its columns are', () => {
  const line = (gap: string) =>
    `    http_req_duration..............: avg=46.13ms min=1ms med=28.99ms max=731.89ms p(90)=90ms${gap}p(95)=99.87ms${gap}p(99)=278.28ms\n`;
  for (const gap of [' ', '   ']) {
    assert.deepEqual(readDurations(`    http_req_duration\n${line(gap)}`), ['99.87ms', '278.28ms']);
  }
  assert.throws(() => readDurations('no summary'), /k6 said no http_req_duration:\nno summary/);
});
