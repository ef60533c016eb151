import { hash } from 'node:crypto';
import type { Request, RequestHandler, Response } from 'express';
import { BSON, ObjectId } from 'mongodb';
import { onEnd } from '../answer-end.ts';
import { type Budget, overloaded } from '../budget.ts';
import { createRecord, type Write } from '../envelope.ts';
import { ApiError } from '../errors.ts';
import { keyedIds, readIdempotencyKey } from '../idempotency-key.ts';
import { type KeyedAnswer, type KeyedRequests, replayedHeader } from '../keyed-requests.ts';
import { type Origin, originOf } from '../origin.ts';
import type { Publisher } from '../publisher.ts';
import type { Reader } from '../reader.ts';
import { parseRecords } from '../record-document.ts';
import type { Tracing } from '../tracing.ts';
import { nameIds } from '../unconfirmed.ts';

type Document = Record<string, unknown>;

const idPattern = /^[0-9a-fA-F]{24}$/;

export function createRecordsRoutes({
  budget,
  publisher,
  reader,
  keyedRequests,
  tracing,
  token = '',
}: {
  budget: Budget;
  publisher: Publisher;
  reader: Reader;
  keyedRequests: KeyedRequests;
  tracing?: Tracing | undefined;
  /** The scope of idempotency keys. */
  token?: string | undefined;
}) {
  /** POST /api/records: a caller's own JSON on the same way as the writes of GET /api/data. */
  const create: RequestHandler = async (request, response) => {
    const { ids, kind, answered } = accept(request, response);
    try {
      const { body, isReplayed } = await answered;
      if (isReplayed) response.setHeader(...replayedHeader);
      response.status(202).type('json').send(body);
    } catch (error) {
      throw nameIds(error, ids, kind);
    }
  };

  /** Apart from the handler, because an async function that waits holds all that it has named, here the documents. */
  function accept(request: Request, response: Response) {
    const key = readIdempotencyKey(request.headers['idempotency-key']);
    const parsed = parseRecords(request.body);
    if ('problems' in parsed) throw new ApiError('invalid_request', parsed.problems.join('; '));
    const { documents } = parsed;
    const origin = originOf(request, response, tracing);
    if (key !== undefined) {
      const ids = keyedIds(key, token, documents.length + 1);
      const answered = answerKeyed(ids, documents, origin, response);
      return { ids: ids.slice(0, -1), kind: 'keyed', answered } as const;
    }
    const ids = documents.map(() => new ObjectId());
    const timestamp = new Date();
    const answered = publisher.publish(createRecords(documents, ids, timestamp), origin).then(() => {
      return { body: describe(ids, timestamp), isReplayed: false };
    });
    return { ids, kind: 'unkeyed', answered } as const;
  }

  /** While the documents wait for what is known of the key they are bytes, as those of the publisher are. */
  async function answerKeyed(
    ids: readonly ObjectId[],
    documents: readonly Document[],
    origin: Origin | undefined,
    response: Response,
  ): Promise<KeyedAnswer> {
    const encoded = Buffer.from(encode(documents));
    if (!budget.take(encoded.length)) throw overloaded;
    onEnd(response, () => budget.give(encoded.length));
    const written = ids.slice(0, -1);
    return keyedRequests.answer({
      ids,
      fingerprint: hash('sha256', encoded, 'hex'),
      isSame: (stored) => areStoredAs(decode(encoded), ids, stored),
      write: (timestamp) => publisher.publish(createRecords(decode(encoded), written, timestamp), origin),
      describe: (timestamp) => describe(written, timestamp),
    });
  }

  /** GET /api/records/:id: the document once it is stored. */
  const find: RequestHandler = async (request, response) => {
    const { id } = request.params;
    if (typeof id !== 'string' || !idPattern.test(id)) {
      throw new ApiError('invalid_request', 'id: must be 24 hexadecimal digits.');
    }
    const record = await reader.findRecord(new ObjectId(id));
    if (!record) throw new ApiError('not_found', 'No document with this id is stored. It may be on its way.');
    const body = Buffer.from(JSON.stringify(record));
    if (!budget.take(body.length)) throw overloaded;
    // A client may be slow to read it.
    onEnd(response, () => budget.give(body.length));
    response.type('json').send(body);
  };

  return { create, find };
}

function createRecords(documents: readonly Document[], ids: readonly ObjectId[], timestamp: Date): Write[] {
  return documents.map((document, index) => createRecord(document, timestamp, ids[index]));
}

function describe(ids: readonly ObjectId[], timestamp: Date): string {
  return JSON.stringify({ status: 'success', ids, timestamp });
}

/** Equal for equal documents in the same order, with their fields in the same order. */
function encode(documents: readonly Document[]): Uint8Array {
  return BSON.serialize({ documents });
}

function decode(encoded: Uint8Array): Document[] {
  return BSON.deserialize(encoded).documents;
}

/** Whether each of `stored` is the document that was sent for its id. */
function areStoredAs(documents: Document[], ids: readonly ObjectId[], stored: readonly Write[]): boolean {
  return stored.every((write) => {
    const document = documents[ids.findIndex((id) => id.equals(write._id))];
    if (write.type !== 'record' || document === undefined) return false;
    return Buffer.compare(encode([document]), encode([write.document])) === 0;
  });
}
