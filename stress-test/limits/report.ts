/** What the measurements within limits print, in Markdown, and whether all that was confirmed is stored. */
import { formatCount } from '../../command-line/count.ts';
import { mebibyte } from '../memory.ts';
import type { BacklogFigures } from './backlog.ts';
import type { Interval } from './generator.ts';
import type { OverloadFigures } from './overload.ts';
import type { SlowBodiesFigures } from './slow-bodies.ts';
import type { SoakFigures, SoakRow } from './soak.ts';
import { isStoredOnce, type StoredFigures } from './stored.ts';
import { type PartEnded, type PartName, partNames } from './system.ts';

export interface Report<Figures> {
  text: string;
  figures: Figures;
  /** Nothing is missing, nothing is double, and no process ended for want of memory. */
  isWhole: boolean;
}

export function formatOverload(figures: OverloadFigures): Report<OverloadFigures> {
  const { best, closed, open } = figures;
  const row = (name: string, interval: Interval & { seconds: number }) =>
    `| ${[
      name,
      formatCount(Math.round(interval.accepted / interval.seconds)),
      formatCount(Math.round(interval.refused / interval.seconds)),
      formatMs(interval.acceptedMs.p50),
      formatMs(interval.acceptedMs.p99),
      formatMs(interval.refusedMs.p50),
      formatMs(interval.refusedMs.p99),
      interval.refusedBare,
      interval.failed,
      interval.unsent,
    ].join(' | ')} |`;
  const text = `${[
    `Best: ${formatCount(Math.round(best.perSecond))} requests/s at ${best.connections} connections, ` +
      `${Math.round(best.cpuMicros)} µs of CPU each in all parts. A refusal: ${figures.refusalMicros.toFixed(1)} µs, ` +
      `r = ${figures.costRatio.toFixed(3)}.`,
    '',
    '| load | accepted/s | refused/s | accepted p50 ms | p99 ms | refused p50 ms | p99 ms | without Retry-After | failed | unsent |',
    '|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|',
    row('10,000 connections, closed loop, each waits as Retry-After says', closed.patient),
    row('10,000 connections, closed loop, each comes again at once', closed.impatient),
    row(`${formatCount(open.rate)}/s, open loop`, open),
    '',
    `Accepted at 3 times the capacity: ${open.share.toFixed(2)} of the best; ` +
      `(1 − 3r) / (1 − r) is ${figures.shareWanted.toFixed(2)}, nine tenths of it ${(0.9 * figures.shareWanted).toFixed(2)}.`,
    `At half the capacity again: as before after ${figures.recoverySeconds} s.`,
    `Memory at the peak, MiB: ${formatMemory(closed.patient.peakBytes)}; with clients that come again at once ${formatMemory(closed.impatient.peakBytes)}; in the open loop ${formatMemory(open.peakBytes)}.`,
    formatStored(figures),
  ].join('\n')}\n`;
  return { text, figures, isWhole: isStoredOnce(figures) };
}

export function formatBacklog(figures: BacklogFigures): Report<BacklogFigures> {
  const { confirmedDocuments, insertedDocuments, countedDocuments, reads, oomKillCount } = figures;
  const text = `${[
    `Confirmed without a writer in ${figures.fillSeconds.toFixed(0)} s: ${formatCount(figures.envelopes)} envelopes. ` +
      `Memory at the peak, MiB: ${formatMemory(figures.fillPeakBytes)}.`,
    `Stored in ${figures.storeSeconds.toFixed(0)} s, ` +
      `${formatCount(Math.round(insertedDocuments / figures.storeSeconds))} documents/s. ` +
      `Memory at the peak, MiB: ${formatMemory(figures.storePeakBytes)}.`,
    `The writer's operations in MongoDB at once: ${figures.operationsMax} at most.`,
    `Confirmed in all ${formatCount(confirmedDocuments)}, counted ${formatCount(countedDocuments)}; of ${formatCount(figures.idsFound + figures.idsMissing)} ids looked up ${figures.idsMissing} are missing; ` +
      `of the backlog's writer inserted ${formatCount(insertedDocuments)}, found there already ${formatCount(figures.duplicateDocuments)}.`,
    `Requests meanwhile: ${reads.answered} answered, ${reads.withIds} with five ids, ${reads.failed} failed; ` +
      `ended for want of memory: ${oomKillCount}.`,
  ].join('\n')}\n`;
  return {
    text,
    figures,
    isWhole: countedDocuments === confirmedDocuments && figures.idsMissing === 0 && oomKillCount === 0,
  };
}

/** For somebody who looks on. */
export function formatSoakRow({ minute, acceptedPerSecond, p50Ms, p99Ms, memoryBytes }: SoakRow): string {
  const load = `${formatCount(Math.round(acceptedPerSecond))} accepted/s`;
  const latency = `p50 ${formatMs(p50Ms)} ms, p99 ${formatMs(p99Ms)} ms`;
  return `minute ${minute}: ${load}, ${latency}; MiB: ${formatMemory(memoryBytes)}`;
}

export function formatSoak(figures: SoakFigures): Report<SoakFigures> {
  const { rows } = figures;
  const text = `${[
    `${formatCount(figures.perSecond)} requests/s, 70 % of ${formatCount(Math.round(figures.capacityPerSecond))}: ` +
      `${formatCount(figures.accepted)} accepted, ${figures.refused} refused, ${figures.failed} failed, ${figures.unsent} unsent.`,
    '',
    `| minute | accepted/s | p50 ms | p99 ms | ${partNames.map((name) => `${name} MiB`).join(' | ')} | ${partNames.map((name) => `${name} handles`).join(' | ')} |`,
    `|--:|${'--:|'.repeat(3 + 2 * partNames.length)}`,
    ...rows.map(
      ({ minute, acceptedPerSecond, p50Ms, p99Ms, memoryBytes, handles }) =>
        `| ${[
          minute,
          formatCount(Math.round(acceptedPerSecond)),
          formatMs(p50Ms),
          formatMs(p99Ms),
          ...partNames.map((name) => Math.round(memoryBytes[name] / mebibyte)),
          ...partNames.map((name) => handles[name]),
        ].join(' | ')} |`,
    ),
    '',
    formatStored(figures),
  ].join('\n')}\n`;
  return { text, figures, isWhole: isStoredOnce(figures) };
}

/** Whole when nobody else noticed, and every slow client was told or its time was over. */
export function formatSlowBodies(figures: SlowBodiesFigures): Report<SlowBodiesFigures> {
  const { clients, sentBytes, declaredBytes, ended, before, peakBytes, reads, records } = figures;
  const others = ({ answered, failed, p50Ms, p99Ms }: SlowBodiesFigures['reads']) =>
    `${formatCount(answered)} answered, ${failed} failed, p50 ${formatMs(p50Ms)} ms, p99 ${formatMs(p99Ms)} ms`;
  const text = `${[
    `${formatCount(clients)} clients sent ${formatCount(sentBytes)} of ${formatCount(declaredBytes)} bytes and stopped: ` +
      `${formatCount(ended.refused)} were refused with 503 and Retry-After, the time of ${formatCount(ended.late)} was over, ${ended.other} got another answer.`,
    `Memory before, MiB: ${formatMemory(before)}; at the peak: ${formatMemory(peakBytes)}.`,
    `Others meanwhile: GET /api/data ${others(reads)}; POST /api/records ${others(records)}.`,
    formatStored(figures),
  ].join('\n')}\n`;
  const isUnnoticed = reads.failed + records.failed + ended.other === 0 && reads.answered > 0;
  const { ids: _reads, ...readCounts } = reads;
  const { ids: _records, ...recordCounts } = records;
  return {
    text,
    figures: { ...figures, reads: { ...readCounts, ids: [] }, records: { ...recordCounts, ids: [] } },
    isWhole: isStoredOnce(figures) && isUnnoticed,
  };
}

/** Of a measurement that a part has ended. */
export function formatEnd({ part, oomKillCount }: PartEnded): Report<unknown> {
  const text = `Broken off: ${part} ended. Ended for want of memory: ${oomKillCount}.\n`;
  return { text, figures: { ended: part, oomKillCount }, isWhole: false };
}

function formatStored(figures: StoredFigures): string {
  const { confirmedWrites, insertedWrites, publishFailures, idsFound, idsMissing, oomKillCount } = figures;
  return (
    `Confirmed writes ${formatCount(confirmedWrites)}, inserted ${formatCount(insertedWrites)}; publish calls that failed: ${formatCount(publishFailures)}; ` +
    `of ${formatCount(idsFound + idsMissing)} ids looked up ${idsMissing} are missing; ended for want of memory: ${oomKillCount}.`
  );
}

function formatMemory(bytes: Record<PartName, number>): string {
  return partNames.map((name) => `${name} ${Math.round(bytes[name] / mebibyte)}`).join(', ');
}

function formatMs(ms: number): string {
  return Number.isNaN(ms) ? '–' : ms.toFixed(ms < 10 ? 1 : 0);
}
