import type { RequestHandler } from 'express';
import { createWrites, readsPerRequest } from '../envelope.ts';
import type { Publisher } from '../publisher.ts';
import type { Reader } from '../reader.ts';

/** GET /api/data: five writes and five reads; the answer is sent once the broker holds the writes. */
export function createDataRoute(dependencies: { publisher: Publisher; reader: Reader }): RequestHandler {
  const { publisher, reader } = dependencies;
  return async (_request, response) => {
    const timestamp = new Date();
    const writes = createWrites(timestamp);
    const confirmed = publisher.publish(writes);
    const reads = [];
    for (let index = 0; index < readsPerRequest; index++) reads.push(reader.nextId());
    await confirmed;
    response.json({ status: 'success', reads, writes: writes.map((write) => write._id), timestamp });
  };
}
