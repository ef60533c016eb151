/** What a client is told when the broker did not confirm its writes: which ids may be stored, and how to go on. */
import type { ObjectId } from 'mongodb';
import { ApiError } from './errors.ts';

const advice = {
  keyed: 'Send the request again with the same Idempotency-Key: each document is stored once.',
  unkeyed:
    'Look the ids up before you send the request again: without an Idempotency-Key that writes new documents.',
} as const;

/** @returns `error`; with `ids` in the answer where the code is `publish_unconfirmed`. */
export function nameIds(
  error: unknown,
  ids: readonly (ObjectId | string)[],
  kind: keyof typeof advice,
): unknown {
  if (!(error instanceof ApiError) || error.code !== 'publish_unconfirmed') return error;
  return new ApiError(error.code, `${error.message} ${advice[kind]}`, {
    cause: error.cause,
    ids: ids.map(String),
  });
}
