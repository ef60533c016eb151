/** What the proof prints: a line as each check ends, and the table. */
import { formatCount } from '../../../command-line/count.ts';
import { documentBounds, type Findings } from '../../../stress-test/judgement.ts';
import type { Seen } from './checks.ts';
import type { CheckName } from './options.ts';

export interface Result extends Seen {
  name: CheckName;
  seconds: number;
}

export function formatResult({ name, seconds, said, problems }: Result): string {
  const verdict = problems.length === 0 ? 'ok  ' : 'FAIL';
  return [`${verdict} ${name} (${seconds} s) ${said}`, ...problems.map((problem) => `     ${problem}`)].join(
    '\n',
  );
}

export function formatTable(results: Result[]): string {
  const rows = results.map(({ name, seconds, said, problems, findings }) => {
    const verdict = problems.length === 0 ? 'ok' : 'FAIL';
    return [name, verdict, String(seconds), ...formatFindings(findings), said];
  });
  return [
    ['check', 'result', 'seconds', 'requests', 'not confirmed', 'missing', 'double', 'seen'],
    ['---', '---', '--:', '--:', '--:', '--:', '--:', '---'],
    ...rows,
  ]
    .map((cells) => `| ${cells.join(' | ')} |\n`)
    .join('');
}

/** Requests, those not confirmed, documents of confirmed ones that are missing, documents beyond all that were sent. */
function formatFindings(findings: Findings | undefined): string[] {
  if (!findings) return ['–', '–', '–', '–'];
  const { run, documentsAfter, documentsBefore } = findings;
  const { min, max } = documentBounds(run);
  const added = documentsAfter - documentsBefore;
  const counts = [run.sent, run.sent - run.confirmed, Math.max(0, min - added), Math.max(0, added - max)];
  return counts.map(formatCount);
}
