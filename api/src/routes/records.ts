import { hash } from 'node:crypto';
import type { RequestHandler } from 'express';
import { BSON, ObjectId } from 'mongodb';
import { createRecord, type Write } from '../envelope.ts';
import { ApiError } from '../errors.ts';
import { keyedIds, readIdempotencyKey } from '../idempotency-key.ts';
import { type KeyedRequests, replayedHeader } from '../keyed-requests.ts';
import { originOf } from '../origin.ts';
import type { Publisher } from '../publisher.ts';
import type { Reader } from '../reader.ts';
import { parseRecords } from '../record-document.ts';
import type { Tracing } from '../tracing.ts';
import { nameIds } from '../unconfirmed.ts';

const idPattern = /^[0-9a-fA-F]{24}$/;

export function createRecordsRoutes({
  publisher,
  reader,
  keyedRequests,
  tracing,
  token = '',
}: {
  publisher: Publisher;
  reader: Reader;
  keyedRequests: KeyedRequests;
  tracing?: Tracing | undefined;
  /** The scope of idempotency keys. */
  token?: string | undefined;
}) {
  /** POST /api/records: a caller's own JSON on the same way as the writes of GET /api/data. */
  const create: RequestHandler = async (request, response) => {
    const key = readIdempotencyKey(request.headers['idempotency-key']);
    const parsed = parseRecords(request.body);
    if ('problems' in parsed) throw new ApiError('invalid_request', parsed.problems.join('; '));
    const { documents } = parsed;
    const origin = originOf(request, response, tracing);
    const ids =
      key === undefined ? documents.map(() => new ObjectId()) : keyedIds(key, token, documents.length + 1);
    const written = ids.slice(0, documents.length);
    const write = (timestamp: Date) =>
      publisher.publish(
        documents.map((document, index) => createRecord(document, timestamp, written[index])),
        origin,
      );
    const describe = (timestamp: Date) => JSON.stringify({ status: 'success', ids: written, timestamp });
    try {
      let body: string;
      if (key === undefined) {
        const timestamp = new Date();
        await write(timestamp);
        body = describe(timestamp);
      } else {
        const answer = await keyedRequests.answer({
          ids,
          fingerprint: fingerprintOf(documents),
          isSame: (stored) => areStoredAs(documents, ids, stored),
          write,
          describe,
        });
        if (answer.isReplayed) response.setHeader(...replayedHeader);
        body = answer.body;
      }
      response.status(202).type('json').send(body);
    } catch (error) {
      throw nameIds(error, written, key === undefined ? 'unkeyed' : 'keyed');
    }
  };

  /** GET /api/records/:id: the document once it is stored. */
  const find: RequestHandler = async (request, response) => {
    const { id } = request.params;
    if (typeof id !== 'string' || !idPattern.test(id)) {
      throw new ApiError('invalid_request', 'id: wants 24 hexadecimal digits.');
    }
    const record = await reader.findRecord(new ObjectId(id));
    if (!record) throw new ApiError('not_found', 'No document with this id is stored. It may be on its way.');
    response.json(record);
  };

  return { create, find };
}

/** Equal for equal documents in the same order, with their fields in the same order. */
function fingerprintOf(documents: Record<string, unknown>[]): string {
  return hash('sha256', BSON.serialize({ documents }), 'hex');
}

/** Whether each of `stored` is the document that was sent for its id. */
function areStoredAs(
  documents: Record<string, unknown>[],
  ids: readonly ObjectId[],
  stored: readonly Write[],
): boolean {
  return stored.every((write) => {
    const document = documents[ids.findIndex((id) => id.equals(write._id))];
    return (
      write.type === 'record' &&
      document !== undefined &&
      fingerprintOf([document]) === fingerprintOf([write.document])
    );
  });
}
