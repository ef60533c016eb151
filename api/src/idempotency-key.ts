/**
 * `Idempotency-Key`, https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/, as Stripe's API takes
 * it: whoever repeats a request with the same key writes the same documents.
 *
 * The ids of the documents are a hash of key, scope and index, so every process makes the same ones at any time, and
 * MongoDB's unique index on `_id` stores each once. Nothing has to be remembered for that.
 */
import { hash } from 'node:crypto';
import { ObjectId } from 'mongodb';
import { ApiError } from './errors.ts';

/** As many as Stripe takes. Visible ASCII: no spaces, so that two header lines are not taken for one key. */
const keyPattern = /^[\x21-\x7e]{1,255}$/;

const idBytes = 12;

/** In the first byte. An ObjectId begins with its second since 1970, and before 2038 no such second has this bit. */
const keyedBit = 0x80;

/** Goes into each hash; another value makes other ids of the same keys. */
const scheme = 'idempotency-key-1';

/**
 * @param header as `IncomingMessage.headers` has it
 * @returns undefined without the header
 * @throws ApiError `invalid_request` for what is not 1 to 255 visible ASCII characters
 */
export function readIdempotencyKey(header: string | string[] | undefined): string | undefined {
  if (header === undefined) return undefined;
  if (typeof header === 'string' && keyPattern.test(header)) return header;
  throw new ApiError(
    'invalid_request',
    'Idempotency-Key: must be 1 to 255 visible ASCII characters without spaces, in one header line.',
  );
}

/**
 * The ids of the first `count` documents of the request with this key. The id at an index does not depend on `count`.
 * @param scope who the key belongs to, such as a bearer token: equal keys of two scopes are different keys
 */
export function keyedIds(key: string, scope: string, count: number): ObjectId[] {
  const bytes = hash('shake256', JSON.stringify([scheme, scope, key]), {
    outputEncoding: 'buffer',
    outputLength: count * idBytes,
  });
  return Array.from({ length: count }, (_, index) => {
    const id = bytes.subarray(index * idBytes, (index + 1) * idBytes);
    id[0] = (id[0] ?? 0) | keyedBit;
    return new ObjectId(id);
  });
}

/** Whether the id was made of a key. True for the ids of all writes from 2038-01-19 on. */
export function isKeyedId(id: ObjectId): boolean {
  return ((id.id[0] ?? 0) & keyedBit) !== 0;
}
