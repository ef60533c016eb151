import type { RequestHandler } from 'express';
import { type Db, ObjectId } from 'mongodb';
import { createWrites, readsPerRequest, type Write } from '../envelope.ts';
import { withinDeadline } from '../mongo-deadline.ts';
import { names } from '../names.ts';

/** Of each of the ten round trips. */
const operationTimeoutMs = 2_000;

/**
 * GET /api/data with WRITE_PATH=direct: ten round trips to MongoDB a request, one after the other. Kept only
 * to be measured against. Reads are by `_id`, the cheapest there is, or by a filter; a failure is an internal error.
 */
export function createDirectDataRoute(database: Db, readBy: '_id' | 'filter'): RequestHandler {
  const records = database.collection<Write>(names.collection);
  let newestId = new ObjectId();
  return async (_request, response) => {
    const timestamp = new Date();
    const writes = createWrites(timestamp);
    for (const write of writes) {
      await withinDeadline(operationTimeoutMs, (bounds) => records.insertOne(write, bounds));
    }
    const ids = [];
    for (let index = 0; index < readsPerRequest; index++) {
      const filter = readBy === 'filter' ? { type: 'write' as const, index } : { _id: newestId };
      const document = await withinDeadline(operationTimeoutMs, (bounds) => records.findOne(filter, bounds));
      ids.push(document?._id ?? null);
    }
    newestId = writes[0]?._id ?? newestId;
    response.json({ status: 'success', reads: ids, writes: writes.map((write) => write._id), timestamp });
  };
}
