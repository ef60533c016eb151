/**
 * Whether all that was confirmed is stored and nothing twice, once the broker holds nothing any longer: by the counts of
 * api and writer, and by the ids that the load has kept, so that a double does not make up for a loss.
 */
import { envelopeWritesMax } from '@assessment/api/envelope';
import { MongoClient } from 'mongodb';
import { formatCount } from '../../command-line/count.ts';
import { showProgress } from '../../command-line/progress.ts';
import { readMetric } from '../metric.ts';
import { createStoredRecords, type StoredRecords } from '../stored-records.ts';
import type { LimitedSystem } from './system.ts';

export interface StoredFigures {
  confirmedWrites: number;
  insertedWrites: number;
  /** Publish calls that ended without a confirmation. */
  publishFailures: number;
  /** Of the ids of every hundredth request, looked up. */
  idsFound: number;
  idsMissing: number;
  oomKillCount: number;
}

const lookUpIdsMax = 1_000;

export async function readStored(system: LimitedSystem, ids: readonly string[]): Promise<StoredFigures> {
  const mongo = new MongoClient(system.mongoDbUri, { appName: 'limits' });
  const found = await lookUp(createStoredRecords(mongo.db()), ids);
  await mongo.close();
  return {
    confirmedWrites: await readMetric(system.api.url, 'api_writes_confirmed_total'),
    insertedWrites: await readMetric(system.writer.url, 'writer_writes_inserted_total'),
    publishFailures: await readMetric(system.api.url, 'api_publish_failures_total'),
    ...found,
    oomKillCount: system.oomKillCount(),
  };
}

export async function lookUp(records: StoredRecords, ids: readonly string[]) {
  let idsFound = 0;
  for (let start = 0; start < ids.length; start += lookUpIdsMax) {
    showProgress(`looking ${formatCount(ids.length)} ids up`, start / ids.length);
    idsFound += (await records.findStored(ids.slice(start, start + lookUpIdsMax))).size;
  }
  return { idsFound, idsMissing: ids.length - idsFound };
}

export function isStoredOnce(figures: StoredFigures): boolean {
  const { confirmedWrites, insertedWrites, publishFailures, idsMissing, oomKillCount } = figures;
  // The broker may hold the envelope of a call that failed; sent again by the client, it has the same ids.
  const insertedMax = confirmedWrites + envelopeWritesMax * publishFailures;
  const isCounted = insertedWrites >= confirmedWrites && insertedWrites <= insertedMax;
  return isCounted && idsMissing === 0 && oomKillCount === 0;
}
