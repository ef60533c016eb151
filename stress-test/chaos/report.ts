/** What a chaos run prints: a row a round, the recovery of each fault, and the verdict. */
import { writesPerRequest } from '@assessment/api/envelope';
import { formatCount } from '../../command-line/count.ts';
import { median } from '../bench/figures.ts';
import { mebibyte } from '../memory.ts';
import type { PartName } from './part.ts';
import type { RoundResult } from './round.ts';

export interface ChaosFindings {
  seed: string;
  rounds: RoundResult[];
  documents: number;
  /** Documents whose random payload another one has as well. */
  double: number;
  problems: string[];
}

/** Of the findings of all rounds. */
export function findChaosProblems({ rounds, documents, double }: Omit<ChaosFindings, 'problems'>): string[] {
  const keys = sum(rounds, (round) => round.keys);
  const expected = writesPerRequest * keys;
  return [
    ...rounds.flatMap(({ problems, faults }, index) =>
      problems.map((problem) => `Round ${index + 1}, ${namesOf(faults)}: ${problem}`),
    ),
    ...(double > 0 ? [`${formatCount(double)} documents have the payload of another one.`] : []),
    ...(documents === expected
      ? []
      : [`${formatCount(documents)} documents, not ${formatCount(expected)} of ${formatCount(keys)} keys.`]),
  ];
}

export function formatRound(result: RoundResult, number: number): string {
  const { faults, seconds, keys, repeats, answersAfterMs, storedAfterMs } = result;
  const struck = faults.map(({ name, atMs, holdMs, notes }) => {
    return `${name} (at ${atMs} ms for ${[`${holdMs} ms`, ...notes].join(', ')})`;
  });
  const counts = `${keys} keys, ${repeats} repeats`;
  const recovery = `answers after ${formatMs(answersAfterMs)} ms, all stored after ${formatMs(storedAfterMs)} ms`;
  return [
    `${number}. ${struck.join(' + ')}: ${seconds.toFixed(1)} s, ${counts}; ${recovery}`,
    ...result.problems.map((problem) => `   FAIL: ${problem}`),
    ...result.deaths.map((death) => `   ended by itself: ${death.trimEnd().replaceAll('\n', '\n     ')}`),
  ].join('\n');
}

/** In Markdown: a line for each fault struck alone, one for all pairs, and what each part took at most. */
export function formatChaos(findings: ChaosFindings): string {
  const { rounds, seed, documents, double } = findings;
  const groups = Map.groupBy(rounds, ({ faults }) => (faults.length === 1 ? namesOf(faults) : 'pairs'));
  const rows = [...groups]
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, group]) => formatRow(name, group));
  const problems = findings.problems.map((problem) => `FAIL: ${problem}`);
  return `${[
    '| fault | rounds | keys | repeats | answers after ms, median (most) | stored after ms, median (most) | missing | double |',
    '|---|--:|--:|--:|--:|--:|--:|--:|',
    ...rows,
    formatRow('all', rounds),
    '',
    `Memory at the peak, MiB: ${formatPeaks(rounds)}`,
    `Documents: ${formatCount(documents)} of ${formatCount(sum(rounds, ({ keys }) => keys))} keys, with the payload of another one: ${formatCount(double)}`,
    `Seed: ${seed}`,
    '',
    ...(problems.length > 0
      ? problems
      : ['PASS: every confirmed id is stored exactly once, 5 documents for each key.']),
  ].join('\n')}\n`;
}

function formatRow(name: string, rounds: readonly RoundResult[]): string {
  return `| ${[
    name,
    rounds.length,
    formatCount(sum(rounds, ({ keys }) => keys)),
    formatCount(sum(rounds, ({ repeats }) => repeats)),
    formatTimes(rounds.map(({ answersAfterMs }) => answersAfterMs)),
    formatTimes(rounds.map(({ storedAfterMs }) => storedAfterMs)),
    sum(rounds, ({ missing }) => missing),
    sum(rounds, ({ double }) => double),
  ].join(' | ')} |`;
}

function formatPeaks(rounds: readonly RoundResult[]): string {
  const names: PartName[] = ['api', 'writer', 'emulator', 'mongodb'];
  return names
    .map(
      (name) =>
        `${name} ${Math.ceil(Math.max(...rounds.map(({ peakBytes }) => peakBytes[name])) / mebibyte)}`,
    )
    .join(', ');
}

function formatTimes(times: readonly (number | null)[]): string {
  const known = times.filter((time) => time !== null).sort((a, b) => a - b);
  const middle = known.length > 0 ? median(known) : null;
  return `${formatMs(middle)} (${formatMs(known.length < times.length ? null : (known.at(-1) ?? null))})`;
}

function formatMs(time: number | null): string {
  return time === null ? 'never' : formatCount(Math.round(time));
}

function namesOf(faults: readonly { name: string }[]): string {
  return faults.map(({ name }) => name).join(' + ');
}

function sum(rounds: readonly RoundResult[], figure: (round: RoundResult) => number): number {
  return rounds.reduce((total, round) => total + figure(round), 0);
}
