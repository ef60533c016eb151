/** The audit's verdict, from figures alone. */
import { writesPerRequest } from '@assessment/api/envelope';
import { formatCount } from '../command-line/count.ts';
import type { Arrival } from './arrival.ts';
import { type Outcomes, type Run, unknownCount } from './run.ts';

export interface Findings extends Arrival {
  run: Omit<Run, 'idsFile'>;
  documentsBefore: number;
}

/** How many documents a run may have added. With keys, when all are confirmed: exactly 5 for each. */
export function documentBounds(run: Outcomes): {
  min: number;
  max: number;
} {
  const min = writesPerRequest * run.confirmed;
  return { min, max: min + writesPerRequest * unknownCount(run) };
}

/** Ids in the ids file. */
export function idsCount(run: Pick<Run, 'recorded'>): number {
  return writesPerRequest * run.recorded;
}

/** The first second, in Unix time, in which a request of the run can have made an id. */
export function firstSecond(run: Pick<Run, 'beganAt'>): number {
  return Math.floor(run.beganAt.getTime() / 1000) + 1;
}

/** What is wrong, a sentence each; none is a pass. */
export function findProblems(findings: Findings): string[] {
  const { run, idsFound, idsMissing } = findings;
  const problems: string[] = [];

  if (run.confirmed === 0) problems.push('No request was confirmed, so there is nothing to audit.');
  else if (run.recorded === 0) problems.push('No confirmed id was written down.');
  if (idsMissing.length > 0) {
    problems.push(`${formatCount(idsMissing.length)} confirmed ids are not in MongoDB.`);
  }
  const notLookedUp = idsCount(run) - idsFound - idsMissing.length;
  if (notLookedUp !== 0) problems.push(`${formatCount(notLookedUp)} more confirmed ids were not looked up.`);

  if (run.keyed && unknownCount(run) > 0) {
    problems.push(`${formatCount(unknownCount(run))} requests were never confirmed, however often repeated.`);
  }
  if (run.keyed && run.keyed.idsChanged > 0) {
    problems.push(
      `${formatCount(run.keyed.idsChanged)} answers named other ids than before to the same key.`,
    );
  }

  const { min, max } = documentBounds(run);
  const added = findings.documentsAfter - findings.documentsBefore;
  if (added < min) problems.push(`${formatCount(min - added)} documents of confirmed requests are missing.`);
  if (added > max) {
    problems.push(
      `${formatCount(added - max)} documents more than all requests wrote: doubles, or another load.`,
    );
  }
  if (findings.idsFoundBeforeRun > 0 && run.recorded < run.confirmed) {
    problems.push(
      "Ids carry times from before the run: the api's clock went back, and a sample cannot tell how many.",
    );
  }
  return problems;
}
