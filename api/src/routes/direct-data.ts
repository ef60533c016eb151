import type { RequestHandler } from 'express';
import type { Db, ObjectId } from 'mongodb';
import { createWrites, readsPerRequest, type Write } from '../envelope.ts';
import { names } from '../environment.ts';

/**
 * GET /api/data with WRITE_PATH=direct: ten round trips to MongoDB a request, one after the other. Kept only
 * to be measured against. Reads are by `_id`, the cheapest there is; a failure is an internal error.
 */
export function createDirectDataRoute(database: Db): RequestHandler {
  const records = database.collection<Write>(names.collection);
  let newestId: ObjectId | undefined;
  return async (_request, response) => {
    const timestamp = new Date();
    const writes = createWrites(timestamp);
    for (const write of writes) await records.insertOne(write, { writeConcern: { w: 1, journal: true } });
    const reads = [];
    for (let index = 0; index < readsPerRequest; index++) {
      const document = newestId && (await records.findOne({ _id: newestId }));
      reads.push(document?._id ?? null);
    }
    newestId = writes[0]?._id;
    response.json({ status: 'success', reads, writes: writes.map((write) => write._id), timestamp });
  };
}
