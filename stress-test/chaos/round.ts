/**
 * One round: a load begins, faults strike and end, and when the api confirms again the load ends. Each of its requests is
 * repeated with an idempotency key until it is confirmed. Then everything that was confirmed has to be stored, the api has
 * to be ready, and the emulator has to hold nothing any longer, so that no redelivery can follow.
 *
 * The judgement is the audit's: all ids that clients were given, and exactly 5 documents more for each key.
 */
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { names } from '@assessment/api/names';
import { MongoError } from 'mongodb';
import { createFolder } from '../../test/process.ts';
import { readApiClock } from '../api-client.ts';
import { backlogCount } from '../backlog.ts';
import { documentBounds, type Findings, findProblems } from '../judgement.ts';
import { driveLoad } from '../load.ts';
import { NotJudged, type Run, unknownCount } from '../run.ts';
import { createStoredRecords, type StoredRecords } from '../stored-records.ts';
import type { PartName } from './part.ts';
import type { Strike } from './plan.ts';
import type { Rig } from './rig.ts';

export interface RoundResult {
  faults: { name: string; atMs: number; holdMs: number; notes: string[] }[];
  /** Of the whole round. */
  seconds: number;
  /** Requests of the load, each with a key of its own. */
  keys: number;
  /** Of them, those that were never confirmed. */
  unconfirmed: number;
  /** Requests beside the first one of each key. */
  repeats: number;
  /** From the end of the last fault until the first confirmation of a request sent after it. */
  answersAfterMs: number | null;
  /** From the end of the last fault until everything confirmed was stored. */
  storedAfterMs: number | null;
  missing: number;
  double: number;
  /** The most memory of each part, in bytes. */
  peakBytes: Record<PartName, number>;
  /** Parts that ended by themselves. */
  deaths: string[];
  /** What is wrong; none is a pass. */
  problems: string[];
}

/** Enough for a writer's lease of 10 s to end and its envelopes to be stored by another; `noticeMs` of faults is on top. */
const roundBaseMs = 15_000;

/** Also a round whose faults took long, on a busy machine, says how long the api did. */
const answerMsMin = 5_000;

/** After this long what is not stored is missing. */
const settleMs = 60_000;

/** Some hundred requests a second: enough to be in every step of the way when a fault strikes. */
const connections = 16;
const thinkTimeMs = 100;

const pollMs = 50;

export async function runRound(rig: Rig, strikes: readonly Strike[]): Promise<RoundResult> {
  const startedAt = performance.now();
  const roundMsMax = roundBaseMs + Math.max(...strikes.map(({ fault }) => fault.noticeMs ?? 0));
  const elapsedMs = () => performance.now() - startedAt;
  const records = createStoredRecords(rig.mongo.db());
  const deathsBefore = Object.values(rig.parts).map((part) => part.deaths().length);
  for (const part of Object.values(rig.parts)) part.takePeakBytes();
  const documentsBefore = await countDocuments(rig);
  const load = beginLoad(rig);
  const struck = await Promise.all(strikes.map((strike) => act(rig, strike)));
  const healedAt = performance.now();
  const patienceMs = Math.max(answerMsMin, roundMsMax - elapsedMs());
  const [answeredAt, isReady] = await Promise.all([
    load.confirmedAfter(healedAt, patienceMs),
    untilReady(rig, healedAt + patienceMs),
  ]);
  const { run, ids } = await load.end();
  const idsMissing = await untilStored(ids, records);
  const storedAt = performance.now();
  const isDrained = await untilDrained(rig);
  const findings: Findings = {
    run,
    documentsBefore,
    documentsAfter: await countDocuments(rig),
    idsFound: ids.length - idsMissing.length,
    idsFoundBeforeRun: 0,
    idsMissing,
  };
  const deaths = Object.values(rig.parts).flatMap(({ name, deaths }, index) =>
    deaths()
      .slice(deathsBefore[index])
      .map((output) => `${name}: ${output}`),
  );
  const isLate = elapsedMs() > roundMsMax;
  return {
    faults: struck,
    seconds: elapsedMs() / 1000,
    keys: run.sent,
    unconfirmed: unknownCount(run),
    repeats: run.keyed?.repeats ?? 0,
    answersAfterMs: answeredAt === undefined ? null : Math.max(0, answeredAt - healedAt),
    storedAfterMs: idsMissing.length > 0 ? null : storedAt - healedAt,
    missing: idsMissing.length,
    double: Math.max(0, findings.documentsAfter - findings.documentsBefore - documentBounds(run).max),
    peakBytes: mapParts(rig, (part) => part.takePeakBytes()),
    deaths,
    problems: [
      ...findProblems(findings),
      ...(answeredAt === undefined ? ['The api did not confirm again.'] : []),
      ...(isReady ? [] : ['The api is not ready again.']),
      ...(isDrained ? [] : ['The emulator still holds envelopes.']),
      ...(isLate ? [`The round took ${(elapsedMs() / 1000).toFixed(1)} s.`] : []),
    ],
  };
}

function beginLoad(rig: Rig) {
  const ending = new AbortController();
  const ids: string[] = [];
  let wanted = { sentAtMs: Number.POSITIVE_INFINITY, resolve: (_at?: number) => {} };
  const running = driveLoad(
    {
      baseUrl: rig.apiUrl,
      connections,
      thinkTimeMs,
      durationMs: settleMs,
      idsFile: join(createFolder(), 'ids.txt'),
      signal: ending.signal,
      keys: { alsoTo: () => rig.alsoTo },
      onConfirmed(confirmed, sentAtMs) {
        ids.push(...confirmed);
        if (sentAtMs >= wanted.sentAtMs) wanted.resolve(performance.now());
      },
    },
    new Date(),
  );
  return {
    async confirmedAfter(sentAtMs: number, patienceMs: number): Promise<number | undefined> {
      const { promise, resolve } = Promise.withResolvers<number | undefined>();
      wanted = { sentAtMs, resolve };
      const timer = setTimeout(() => resolve(undefined), Math.max(0, patienceMs));
      const at = await promise;
      clearTimeout(timer);
      return at;
    },
    async end(): Promise<{ run: Run; ids: string[] }> {
      ending.abort();
      return { run: await running, ids };
    },
  };
}

async function act(rig: Rig, { fault, atMs, holdMs, random }: Strike) {
  const notes: string[] = [];
  await pause(atMs);
  await fault.run(rig, { holdMs, random, note: (text) => void notes.push(text) });
  return { name: fault.name, atMs, holdMs, notes };
}

/** Those that were not stored in time. */
async function untilStored(ids: readonly string[], records: StoredRecords): Promise<string[]> {
  const giveUpAt = performance.now() + settleMs;
  let missing = [...ids];
  for (;;) {
    const stored = await retried(() => records.findStored(missing));
    missing = missing.filter((id) => !stored.has(id));
    if (missing.length === 0 || performance.now() > giveUpAt) return missing;
    await pause(pollMs);
  }
}

/** Whether MongoDB and the broker answer the api again by then. */
async function untilReady({ apiOwnUrl }: Rig, giveUpAt: number): Promise<boolean> {
  for (;;) {
    try {
      await readApiClock(apiOwnUrl);
      return true;
    } catch (error) {
      if (!(error instanceof NotJudged)) throw error;
      if (performance.now() > giveUpAt) return false;
      await pause(pollMs);
    }
  }
}

/** Whether everything is acknowledged: nothing can be delivered again. */
async function untilDrained({ broker }: Rig): Promise<boolean> {
  const giveUpAt = performance.now() + settleMs;
  for (;;) {
    if ((await backlogCount(broker.host)) === 0) return true;
    if (performance.now() > giveUpAt) return false;
    await pause(pollMs);
  }
}

/** Of all rounds. */
function countDocuments({ mongo }: Rig): Promise<number> {
  return retried(() => mongo.db().collection(names.collection).countDocuments());
}

/** A MongoDB that has just been started again may not answer yet. */
async function retried<T>(ask: () => Promise<T>): Promise<T> {
  const giveUpAt = performance.now() + settleMs;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof MongoError) || performance.now() > giveUpAt) throw error;
      await pause(pollMs);
    }
  }
}

function mapParts<T>({ parts }: Rig, map: (part: Rig['parts'][PartName]) => T): Record<PartName, T> {
  const { api, writer, emulator, mongodb } = parts;
  return { api: map(api), writer: map(writer), emulator: map(emulator), mongodb: map(mongodb) };
}

/** Over all rounds: documents, and those whose random payload another document has as well. */
export async function countDoubles(rig: Rig): Promise<{ documents: number; double: number }> {
  const payloads = new Set<string>();
  let documents = 0;
  const cursor = rig.mongo
    .db()
    .collection(names.collection)
    .find({}, { projection: { _id: 0, payload: 1 } });
  for await (const { payload } of cursor) {
    documents++;
    payloads.add((payload as string).slice(0, payloadCharacters));
  }
  return { documents, double: documents - payloads.size };
}

/** Of its 512: 128 bits, which no two random ones share. */
const payloadCharacters = 32;
