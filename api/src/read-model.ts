/**
 * What the writer keeps for the api's reads: the ids it stored last and how many documents it stored.
 *
 * One document of its own collection, read and written by `_id`, so that it costs the same at ten
 * documents and at ten million. The total counts what bulkWrite answered as inserted. A writer killed
 * between bulkWrite and its next update leaves it short by that much, as does a bulkWrite whose answer is lost; an
 * update whose answer is lost counts twice. So it is a display, not a proof: the audit counts the documents
 * themselves.
 */
import type { Collection, Db, ObjectId } from 'mongodb';
import { readsPerRequest } from './envelope.ts';

export interface ReadModel {
  _id: 'records';
  /** The newest stored ids, newest last, at most `newestIdsMax`. */
  newestIds: ObjectId[];
  total: number;
}

export const newestIdsMax = readsPerRequest;

export function readModelCollection(database: Db): Collection<ReadModel> {
  return database.collection<ReadModel>('read_model');
}
