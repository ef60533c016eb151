/**
 * A long backlog: no writer runs until the broker holds so many confirmed documents, and then one does. Meanwhile reads
 * go on, and MongoDB never sees more operations than the writer's bound.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { writesPerRequest } from '@assessment/api/envelope';
import { readModelCollection } from '@assessment/api/read-model';
import { MongoClient } from 'mongodb';
import { formatCount } from '../../command-line/count.ts';
import { showProgress } from '../../command-line/progress.ts';
import { backlogCount } from '../backlog.ts';
import { readMetric } from '../metric.ts';
import { createStoredRecords } from '../stored-records.ts';
import { runLoad } from './load.ts';
import { lookUp } from './stored.ts';
import { type LimitedSystem, measureSystem, type PartName } from './system.ts';
import { watchMemory } from './watch.ts';

export interface BacklogFigures {
  confirmedDocuments: number;
  fillSeconds: number;
  fillPeakBytes: Record<PartName, number>;
  envelopes: number;
  storeSeconds: number;
  storePeakBytes: Record<PartName, number>;
  /** The most of the writer's operations in MongoDB at once, of ten looks a second. */
  operationsMax: number;
  insertedDocuments: number;
  duplicateDocuments: number;
  /** The total that the writer keeps beside the documents: a count would read all of them. */
  countedDocuments: number;
  /** Of the ids of every hundredth request, looked up. */
  idsFound: number;
  idsMissing: number;
  /** GET /api/data with five ids while the backlog was stored; what failed of them. */
  reads: { answered: number; withIds: number; failed: number };
  oomKillCount: number;
}

/** As many as fill the envelopes and do not queue for long. */
const connections = 200;
const fillChunkSeconds = 10;

const readIntervalMs = 100;
const totalMsMax = 10_000;

export async function measureBacklog({ documents }: { documents: number }): Promise<BacklogFigures> {
  return measureSystem({}, async (system) => {
    const url = `${system.api.url}/api/data`;
    const confirmed = () => readMetric(system.api.url, 'api_writes_confirmed_total');
    // Reads are ids only when something is stored.
    await runLoad(url, { connections: 1, seconds: 2, pace: 'patient' }, system.loadWrapper);
    await system.writer.stop();
    const ids: string[] = [];
    const fill = watchMemory(system);
    const fillStart = performance.now();
    while ((await confirmed()) < documents) {
      const count = await confirmed();
      showProgress(
        `${formatCount(count)} of ${formatCount(documents)} documents confirmed`,
        count / documents,
      );
      const load = { connections, seconds: fillChunkSeconds, pace: 'patient' } as const;
      ids.push(...((await runLoad(url, load, system.loadWrapper)).ids ?? []));
    }
    fill.stop();
    const fillSeconds = secondsSince(fillStart);
    const confirmedDocuments = await confirmed();
    const envelopes = await backlogCount(system.brokerHost);
    const store = watchMemory(system);
    const storeStart = performance.now();
    await system.writer.restart();
    const watched = await watchStoring(system, url, envelopes);
    store.stop();
    const storeSeconds = secondsSince(storeStart);
    const all = confirmedDocuments + writesPerRequest * watched.reads.answered;
    return {
      confirmedDocuments: all,
      fillSeconds,
      fillPeakBytes: fill.peaks(),
      envelopes,
      storeSeconds,
      storePeakBytes: store.peaks(),
      ...watched,
      insertedDocuments: await readMetric(system.writer.url, 'writer_writes_inserted_total'),
      duplicateDocuments: await readMetric(system.writer.url, 'writer_writes_duplicate_total'),
      ...(await readArrival(system.mongoDbUri, ids, all)),
      oomKillCount: system.oomKillCount(),
    };
  });
}

/** Until the broker holds nothing any longer. */
async function watchStoring(system: LimitedSystem, url: string, envelopes: number) {
  const reads = { answered: 0, withIds: 0, failed: 0 };
  let operationsMax = 0;
  for (;;) {
    operationsMax = Math.max(operationsMax, await readMetric(system.writer.url, 'writer_mongodb_operations'));
    const response = await fetch(url);
    const body = (await response.json()) as { reads?: (string | null)[] };
    if (response.status !== 200) reads.failed++;
    else {
      reads.answered++;
      if (body.reads?.every((id) => id !== null)) reads.withIds++;
    }
    const left = await backlogCount(system.brokerHost);
    if (left <= 1) break;
    showProgress(`${formatCount(left)} envelopes left`, 1 - left / envelopes);
    await pause(readIntervalMs);
  }
  while ((await backlogCount(system.brokerHost)) > 0) await pause(readIntervalMs);
  return { operationsMax, reads };
}

async function readArrival(uri: string, ids: readonly string[], confirmedDocuments: number) {
  const mongo = new MongoClient(uri, { appName: 'limits' });
  const found = await lookUp(createStoredRecords(mongo.db()), ids);
  const total = async () => (await readModelCollection(mongo.db()).findOne({ _id: 'records' }))?.total ?? 0;
  const giveUpAt = performance.now() + totalMsMax;
  // The writer adds to it twice a second.
  while ((await total()) !== confirmedDocuments && performance.now() < giveUpAt) await pause(readIntervalMs);
  const countedDocuments = await total();
  await mongo.close();
  return { countedDocuments, ...found };
}

function secondsSince(start: number): number {
  return (performance.now() - start) / 1_000;
}
