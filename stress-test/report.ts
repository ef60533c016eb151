/** What the audit prints: the figures that it judged by, and the verdict with its reasons. */
import { writesPerRequest } from '@assessment/api/envelope';
import { formatCount } from '../command-line/count.ts';
import { documentBounds, type Findings, findProblems } from './judgement.ts';
import { unknownCount } from './run.ts';

type Row = [label: string, count: number, note?: string];

/** Enough to look into; the rest would say the same again. */
const missingIdsMax = 10;

/** For programs: the same figures, with the reasons why it failed, none when it passed. */
export function formatJson(findings: Findings): string {
  const idsMissing = findings.idsMissing.slice(0, missingIdsMax);
  return `${JSON.stringify({ ...findings, idsMissing, problems: findProblems(findings) })}\n`;
}

export function formatReport(findings: Findings): string {
  const { run, idsFound, idsMissing, documentsBefore, documentsAfter } = findings;
  const bounds = documentBounds(run);
  const { keyed } = run;
  const outcomes: Row[] = keyed
    ? [
        ['requests with a key each', run.sent],
        ['  confirmed', run.confirmed, 'answered 200 with "success"'],
        ['  never confirmed', unknownCount(run), 'may be stored'],
        ['  repeats', keyed.repeats, 'sent with the key of an earlier request'],
        ['  answered with other ids', keyed.idsChanged, 'than before to the same key'],
      ]
    : [
        ['requests sent', run.sent],
        ['  confirmed', run.confirmed, 'answered 200 with "success"'],
        ['  refused', run.refused, 'certainly not stored'],
        ['  unknown', unknownCount(run), 'may be stored: no answer, or one that leaves it open'],
      ];
  const counted = keyed
    ? 'all ids of keys, and those made since it began'
    : 'all whose ids were made since it began';
  const rows: Row[] = [
    ...outcomes,
    ...Object.entries(run.failures).map(([kind, count]): Row => [`    ${kind}`, count]),
    ['confirmed ids looked up', idsFound + idsMissing.length, `of ${formatCount(run.recorded)} requests`],
    ['  missing in MongoDB', idsMissing.length],
    ['documents of this run', documentsAfter - documentsBefore, counted],
    ['  at least', bounds.min, `${writesPerRequest} × confirmed`],
    ['  at most', bounds.max, `${writesPerRequest} × (confirmed + unknown)`],
    ['  after', documentsAfter],
    ['  before', documentsBefore],
  ];
  const lines = rows.map(([label, count, note]) => {
    return `${label.padEnd(26)}${formatCount(count).padStart(14)}   ${note ?? ''}`.trimEnd();
  });
  return `${[...lines, '', ...formatVerdict(findings)].join('\n')}\n`;
}

function formatVerdict(findings: Findings): string[] {
  const problems = findProblems(findings);
  if (problems.length === 0) {
    const { keyed, sent } = findings.run;
    const exactly = `, ${writesPerRequest} documents for each of ${formatCount(sent)} keys`;
    return [`PASS: every confirmed id is stored exactly once${keyed ? exactly : ''}.`];
  }
  const listed = findings.idsMissing.slice(0, missingIdsMax);
  const more = findings.idsMissing.length - listed.length;
  return [
    ...problems.map((problem) => `FAIL: ${problem}`),
    ...listed.map((id) => `  missing: ${id}`),
    ...(more > 0 ? [`  and ${formatCount(more)} more`] : []),
  ];
}
