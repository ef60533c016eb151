import type { RequestHandler, Response } from 'express';
import type { ObjectId } from 'mongodb';
import { createWrites, readsPerRequest, writesPerRequest } from '../envelope.ts';
import { keyedIds, readIdempotencyKey } from '../idempotency-key.ts';
import { type KeyedRequests, replayedHeader } from '../keyed-requests.ts';
import { type Origin, originOf } from '../origin.ts';
import type { Publisher } from '../publisher.ts';
import type { Reader } from '../reader.ts';
import type { Tracing } from '../tracing.ts';
import { nameIds } from '../unconfirmed.ts';

/** GET /api/data: five writes and five reads; the answer is sent once the broker holds the writes. */
export function createDataRoute(dependencies: {
  publisher: Publisher;
  reader: Reader;
  keyedRequests: KeyedRequests;
  tracing?: Tracing | undefined;
  /** The scope of idempotency keys. */
  token?: string | undefined;
}): RequestHandler {
  const { publisher, reader, keyedRequests, tracing, token = '' } = dependencies;
  return async (request, response) => {
    const key = readIdempotencyKey(request.headers['idempotency-key']);
    const origin = originOf(request, response, tracing);
    if (key !== undefined) return answerKeyed(key, origin, response);
    const { body, confirmed } = publish(origin);
    try {
      await confirmed;
    } catch (error) {
      throw nameIds(error, JSON.parse(body).writes, 'unkeyed');
    }
    send(response, body);
  };

  /** Apart from the handler, because an async function that waits holds all that it has named, here the writes. */
  function publish(origin: Origin | undefined): { body: string; confirmed: Promise<void> } {
    const timestamp = new Date();
    const writes = createWrites(timestamp);
    const confirmed = publisher.publish(writes, origin);
    return { body: describe(writes, timestamp), confirmed };
  }

  async function answerKeyed(key: string, origin: Origin | undefined, response: Response): Promise<void> {
    const ids = keyedIds(key, token, writesPerRequest + 1);
    const written = ids.slice(0, writesPerRequest);
    const documents = written.map((_id) => ({ _id }));
    try {
      const { body, isReplayed } = await keyedRequests.answer({
        ids,
        fingerprint: 'GET /api/data',
        isSame: (stored) => stored.every(({ type }) => type === 'write'),
        write: (timestamp) => publisher.publish(createWrites(timestamp, written), origin),
        describe: (timestamp) => describe(documents, timestamp),
      });
      if (isReplayed) response.setHeader(...replayedHeader);
      send(response, body);
    } catch (error) {
      throw nameIds(error, written, 'keyed');
    }
  }

  /** By hand, because response.json takes 10 µs longer for it, a seventh of what the request costs this process. */
  function describe(written: readonly { _id: ObjectId }[], timestamp: Date): string {
    let reads = quote(reader.nextId());
    for (let index = 1; index < readsPerRequest; index++) reads += `,${quote(reader.nextId())}`;
    let writes = '';
    for (const { _id } of written) writes += `${writes && ','}${quote(_id)}`;
    return `{"status":"success","reads":[${reads}],"writes":[${writes}],"timestamp":"${timestamp.toISOString()}"}`;
  }
}

function send(response: Response, body: string): void {
  response.setHeader('Content-Type', 'application/json; charset=utf-8');
  response.setHeader('Content-Length', body.length);
  response.end(body, 'latin1');
}

/** As JSON. */
function quote(id: ObjectId | null): string {
  return id === null ? 'null' : `"${id.toHexString()}"`;
}
