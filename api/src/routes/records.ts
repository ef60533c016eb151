import type { RequestHandler } from 'express';
import { ObjectId } from 'mongodb';
import { createRecord } from '../envelope.ts';
import { ApiError } from '../errors.ts';
import { keyedIds, readIdempotencyKey } from '../idempotency-key.ts';
import { originOf } from '../origin.ts';
import type { Publisher } from '../publisher.ts';
import type { Reader } from '../reader.ts';
import { parseRecords } from '../record-document.ts';
import type { Tracing } from '../tracing.ts';

const idPattern = /^[0-9a-fA-F]{24}$/;

export function createRecordsRoutes({
  publisher,
  reader,
  tracing,
  token = '',
}: {
  publisher: Publisher;
  reader: Reader;
  tracing?: Tracing | undefined;
  /** Of idempotency keys; none without a token. */
  token?: string | undefined;
}) {
  /** POST /api/records: a caller's own JSON on the same way as the writes of GET /api/data. */
  const create: RequestHandler = async (request, response) => {
    const key = readIdempotencyKey(request.headers['idempotency-key']);
    const parsed = parseRecords(request.body);
    if ('problems' in parsed) throw new ApiError('invalid_request', parsed.problems.join('; '));
    const { documents } = parsed;
    const ids = key === undefined ? undefined : keyedIds(key, token, documents.length);
    const timestamp = new Date();
    const writes = documents.map((document, index) => createRecord(document, timestamp, ids?.[index]));
    await publisher.publish(writes, originOf(request, response, tracing));
    response.status(202).json({ status: 'success', ids: writes.map((write) => write._id), timestamp });
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
