import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { documentBounds, type Findings, findProblems, firstSecond } from '../judgement.ts';
import type { Run } from '../run.ts';

const beganAt = new Date('2026-01-02T03:04:05.600Z');

/** 100 requests: 90 confirmed, 6 refused, 4 unknown, so 450 to 470 documents. */
const clean: Findings = {
  run: {
    beganAt,
    sent: 100,
    confirmed: 90,
    refused: 6,
    recorded: 90,
    lastSecond: 1_767_323_050,
    failures: {},
  },
  idsFound: 450,
  idsFoundBeforeRun: 0,
  idsMissing: [],
  documentsBefore: 0,
  documentsAfter: 450,
};

/** 90 keys, all confirmed. */
function keyed(changes: Partial<Run>): Partial<Findings> {
  return { run: { ...clean.run, sent: 90, refused: 0, keyed: { repeats: 7, idsChanged: 0 }, ...changes } };
}

describe('the bounds on documents', () => {
  test('are 5 for each confirmed request, and up to 5 more for each unknown one', () => {
    assert.deepEqual(documentBounds(clean.run), { min: 450, max: 470 });
  });

  test('meet when no outcome is unknown', () => {
    assert.deepEqual(documentBounds({ sent: 9, confirmed: 8, refused: 1 }), {
      min: 40,
      max: 40,
    });
  });

  test('begin with the second after the one in which the api told its time', () => {
    assert.equal(firstSecond({ beganAt }), beganAt.getTime() / 1000 + 0.4);
    assert.equal(firstSecond({ beganAt: new Date('2026-01-02T03:04:05Z') }), firstSecond({ beganAt }));
  });
});

describe('the judgement', () => {
  const cases: [name: string, changes: Partial<Findings>, problems: RegExp[]][] = [
    ['passes at the lower bound', {}, []],
    ['fails one below the lower bound', { documentsAfter: 449 }, [/^1 documents of confirmed/]],
    ['passes one above the lower bound', { documentsAfter: 451 }, []],
    ['passes one below the upper bound', { documentsAfter: 469 }, []],
    ['passes at the upper bound', { documentsAfter: 470 }, []],
    ['fails one above the upper bound', { documentsAfter: 471 }, [/^1 documents more than all requests/]],
    ['takes off what was there before', { documentsBefore: 30, documentsAfter: 500 }, []],
    [
      'fails a document too many beside those from before',
      { documentsBefore: 30, documentsAfter: 501 },
      [/^1 documents more/],
    ],
    [
      'fails a missing id, even when another document makes up for it in the count',
      { idsFound: 449, idsMissing: ['6b0451a8c7f286bc170a8f61'] },
      [/^1 confirmed ids are not in MongoDB/],
    ],
    ['fails ids that were not looked up', { idsFound: 445 }, [/^5 more confirmed ids were not looked up/]],
    [
      'fails a run without a confirmation',
      {
        run: { ...clean.run, sent: 10, confirmed: 0, refused: 10, recorded: 0 },
        idsFound: 0,
        documentsAfter: 0,
      },
      [/^No request was confirmed/],
    ],
    [
      'fails a run of which nothing was written down',
      { run: { ...clean.run, recorded: 0 }, idsFound: 0 },
      [/^No confirmed id was written down/],
    ],
    ['passes a sample', { run: { ...clean.run, recorded: 1 }, idsFound: 5 }, []],
    ['passes ids from before the run when all are written down', { idsFoundBeforeRun: 10 }, []],
    ['passes exactly 5 documents for each key', keyed({}), []],
    [
      'fails one document too few for the keys',
      { ...keyed({}), documentsAfter: 449 },
      [/^1 documents of conf/],
    ],
    [
      'fails one document too many for the keys',
      { ...keyed({}), documentsAfter: 451 },
      [/^1 documents more/],
    ],
    ['fails a key that was never confirmed', keyed({ sent: 91 }), [/^1 requests were never confirmed/]],
    [
      'fails an answer that named other ids than an earlier one to the same key',
      keyed({ keyed: { repeats: 7, idsChanged: 1 } }),
      [/^1 answers named other ids/],
    ],
    [
      'fails a sample of a run whose clock went back',
      { run: { ...clean.run, recorded: 1 }, idsFound: 5, idsFoundBeforeRun: 5 },
      [/clock went back/],
    ],
  ];

  for (const [name, changes, problems] of cases) {
    test(name, () => {
      const found = findProblems({ ...clean, ...changes });
      assert.equal(found.length, problems.length, found.join('\n'));
      for (const [index, problem] of problems.entries()) assert.match(found[index] ?? '', problem);
    });
  }
});
