/**
 * Waits until what was confirmed is stored, and for what should not come after it.
 *
 * In rounds: the confirmed ids not found yet are looked up, and the documents of the run are counted. An
 * arrival is an id found or a count that changed. The wait ends
 * - when all is there and nothing has arrived for `quietMs`: a redelivery that makes doubles comes late,
 *   after the lease of a writer that died;
 * - when something is missing and nothing has arrived for `settleMs`;
 * - at once when all is there and more than requests account for: it never goes away again.
 *
 * Memory: of the ids file at most `pendingIdsMax` ids that are not found are held; while it is that many,
 * the rest of the file waits.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { MongoError } from 'mongodb';
import { readIds, secondOf } from './ids-file.ts';
import { documentBounds, firstSecond } from './judgement.ts';
import { NotJudged, type Run } from './run.ts';
import type { StoredRecords } from './stored-records.ts';

export interface ArrivalOptions {
  documentsBefore: number;
  settleMs: number;
  quietMs: number;
  onProgress: (arrival: Arrival, sinceLastMs: number) => void;
}

export interface Arrival {
  idsFound: number;
  /** Found with a time before the run: the api's clock went back. */
  idsFoundBeforeRun: number;
  /** Looked up, and not there at the end. */
  idsMissing: string[];
  /** Of the run, as `documentBounds` counts them. */
  documentsAfter: number;
}

/** Ids in one look-up: 16 kB of command, 35 ms on a slow server. */
const lookUpIdsMax = 1_000;

/** 100,000 strings of 24 characters are 5 MB. */
const pendingIdsMax = 100_000;

const roundPauseMinMs = 500;

/** @throws NotJudged when MongoDB does not answer for `settleMs`. */
export async function awaitArrival(
  run: Run,
  records: StoredRecords,
  options: ArrivalOptions,
): Promise<Arrival> {
  const file = readIds(run.idsFile, lookUpIdsMax);
  const bounds = documentBounds(run);
  const arrival: Arrival = { idsFound: 0, idsFoundBeforeRun: 0, idsMissing: [], documentsAfter: 0 };
  let isFileRead = false;
  let lastArrivalAt = performance.now();

  /** Looks `ids` up and returns those that are not there. */
  async function lookUp(ids: string[]): Promise<string[]> {
    const stored = await records.findStored(ids);
    arrival.idsFound += stored.size;
    for (const id of stored) if (secondOf(id) < firstSecond(run)) arrival.idsFoundBeforeRun++;
    return ids.filter((id) => !stored.has(id));
  }

  async function lookUpPending(): Promise<void> {
    for (let start = 0; start < arrival.idsMissing.length; ) {
      const missing = await lookUp(arrival.idsMissing.slice(start, start + lookUpIdsMax));
      arrival.idsMissing.splice(start, lookUpIdsMax, ...missing);
      start += missing.length;
    }
  }

  async function lookUpFile(): Promise<void> {
    while (!isFileRead && arrival.idsMissing.length < pendingIdsMax) {
      const { value, done } = await file.next();
      isFileRead = done === true;
      // Held as missing until the answer is there, so that no id is lost when MongoDB does not answer.
      if (!value) return;
      arrival.idsMissing.push(...value);
      const missing = await lookUp(value);
      arrival.idsMissing.splice(-value.length, value.length, ...missing);
      options.onProgress(arrival, performance.now() - lastArrivalAt);
    }
  }

  /** False when MongoDB did not answer to all of it. */
  async function isLookedAt(): Promise<boolean> {
    const { idsFound, documentsAfter } = arrival;
    try {
      await lookUpPending();
      await lookUpFile();
      const counted = await records.countFrom(firstSecond(run), run.lastSecond);
      const keyedCount = run.keyed ? await records.countKeyed() : 0;
      arrival.documentsAfter = counted + keyedCount + arrival.idsFoundBeforeRun;
    } catch (error) {
      if (!(error instanceof MongoError)) throw error;
      if (performance.now() - lastArrivalAt < options.settleMs) return false;
      throw new NotJudged('MongoDB does not answer any longer', { cause: error });
    }
    const hasArrived = arrival.idsFound > idsFound || arrival.documentsAfter !== documentsAfter;
    if (hasArrived) lastArrivalAt = performance.now();
    return true;
  }

  for (;;) {
    const startedAt = performance.now();
    const isAnswered = await isLookedAt();
    options.onProgress(arrival, performance.now() - lastArrivalAt);
    const newDocuments = arrival.documentsAfter - options.documentsBefore;
    const isAllThere = isFileRead && arrival.idsMissing.length === 0 && newDocuments >= bounds.min;
    const isOver = isAllThere && newDocuments > bounds.max;
    const patienceMs = isAllThere ? options.quietMs : options.settleMs;
    if (isAnswered && (isOver || startedAt - lastArrivalAt >= patienceMs)) break;
    // At most a quarter of the time is spent in MongoDB, where the writer is at work.
    await pause(Math.max(roundPauseMinMs, 3 * (performance.now() - startedAt)));
  }
  await file.return();
  return arrival;
}
