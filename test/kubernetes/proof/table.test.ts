import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatResult, formatTable } from './table.ts';

/** 100 requests, of which 90 are confirmed and 4 refused; `added` documents came of them. */
function findings(added: number) {
  const run = {
    beganAt: new Date(0),
    sent: 100,
    confirmed: 90,
    refused: 4,
    recorded: 90,
    lastSecond: 0,
    failures: {},
  };
  const arrival = { idsFound: 450, idsFoundBeforeRun: 0, idsMissing: [], documentsAfter: added + 7 };
  return { ...arrival, run, documentsBefore: 7 };
}

const passed = { name: 'api-pod', seconds: 52, said: 'ready again after 12 s', problems: [] } as const;
const failed = { name: 'mongo-pod', seconds: 100, said: '', problems: ['first', 'second'] };

test('each check is a row with its verdict, and the audit counts what is missing and double', () => {
  const row = (added: number) => {
    const lines = formatTable([{ ...passed, problems: [], findings: findings(added) }])
      .trim()
      .split('\n');
    return lines.at(-1);
  };
  // 90 × 5 at least, and at most 6 × 5 more of requests whose outcome is unknown.
  assert.equal(row(450), '| api-pod | ok | 52 | 100 | 10 | 0 | 0 | ready again after 12 s |');
  assert.equal(row(480), row(450));
  assert.equal(row(449), '| api-pod | ok | 52 | 100 | 10 | 1 | 0 | ready again after 12 s |');
  assert.equal(row(481), '| api-pod | ok | 52 | 100 | 10 | 0 | 1 | ready again after 12 s |');
});

test('a check with a problem has failed, and all of them are said', () => {
  const result = { ...failed, name: 'mongo-pod' as const };
  assert.match(formatTable([result]), /^\| mongo-pod \| FAIL \| 100 \| – \| – \| – \| – \| {2}\|$/m);
  assert.equal(formatResult(result), 'FAIL mongo-pod (100 s) \n     first\n     second');
});
