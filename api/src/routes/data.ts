import type { RequestHandler } from 'express';
import { createWrites, readsPerRequest } from '../envelope.ts';
import { originOf } from '../origin.ts';
import type { Publisher } from '../publisher.ts';
import type { Reader } from '../reader.ts';
import type { Tracing } from '../tracing.ts';

/** GET /api/data: five writes and five reads; the answer is sent once the broker holds the writes. */
export function createDataRoute(dependencies: {
  publisher: Publisher;
  reader: Reader;
  tracing?: Tracing | undefined;
}): RequestHandler {
  const { publisher, reader, tracing } = dependencies;
  return async (request, response) => {
    const timestamp = new Date();
    const writes = createWrites(timestamp);
    const confirmed = publisher.publish(writes, originOf(request, response, tracing));
    const reads = [];
    for (let index = 0; index < readsPerRequest; index++) reads.push(reader.nextId());
    await confirmed;
    response.json({ status: 'success', reads, writes: writes.map((write) => write._id), timestamp });
  };
}
