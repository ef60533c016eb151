/**
 * Answers a request that carries an idempotency key as the first one with that key was answered.
 *
 * A request is `pending` → `answered`, or `unconfirmed` when the broker did not confirm its writes in time; a repeat of
 * that publishes them again, under the same ids and with the time of the first. A request that is refused before anything
 * was published leaves nothing here. Two requests with one key at the same moment share one answer.
 *
 * A repeat is known by two memories. This process keeps the answers that it gave last, up to `bytesMax`; the oldest go
 * first. MongoDB keeps the documents: an answer made of them has their ids and their time. Neither knows a request that
 * another process answered and whose writes are still with the broker. Its repeat is published again, which stores
 * nothing twice, because the ids are the same; if the body is another one, the writer finds out and sends it to the dead
 * letters. While MongoDB does not answer, it is not asked: an answer does not wait for the database.
 */
import type { ObjectId } from 'mongodb';
import type { Write } from './envelope.ts';
import { ApiError } from './errors.ts';

export interface KeyedRequest {
  /** The ids of its documents, and the one that a further document would have. */
  ids: readonly ObjectId[];
  /** A hash of what is to be written. */
  fingerprint: string;
  /** Whether `stored`, the documents found under `ids`, are this request's. */
  isSame: (stored: readonly Write[]) => boolean;
  /** Publishes the writes. */
  write: (timestamp: Date) => Promise<void>;
  /** The body of the answer, as JSON. */
  describe: (timestamp: Date) => string;
}

export interface KeyedAnswer {
  body: string;
  /** False for the first answer. */
  isReplayed: boolean;
}

export interface KeyedRequests {
  /** @throws ApiError `idempotency_key_reused`, and as `write` does. */
  answer(request: KeyedRequest): Promise<KeyedAnswer>;
}

export interface KeyedRequestsOptions {
  /** The documents that are stored among `ids`; undefined when MongoDB does not say. */
  findStored: (ids: readonly ObjectId[]) => Promise<readonly Write[] | undefined>;
  /** Bytes of the answers that are kept. */
  bytesMax: number;
}

interface Entry {
  fingerprint: string;
  timestamp: Date;
  /** Undefined while `unconfirmed`. */
  answer: Promise<KeyedAnswer> | string | undefined;
  bytes: number;
}

/** As Stripe's API names an answer that was given before. */
export const replayedHeader = ['Idempotent-Replayed', 'true'] as const;

/** An entry beside its body: a Map's place, two strings of 24 and 64 characters, and a Date. */
const entryBytes = 400;

export function createKeyedRequests(options: KeyedRequestsOptions): KeyedRequests {
  /** By the first id, the oldest first. */
  const entries = new Map<string, Entry>();
  let bytes = 0;

  function remember(name: string, entry: Entry, bodyBytes: number): void {
    forget(name);
    entry.bytes = entryBytes + bodyBytes;
    entries.set(name, entry);
    bytes += entry.bytes;
    for (const oldest of entries.keys()) {
      if (bytes <= options.bytesMax) break;
      forget(oldest);
    }
  }

  function forget(name: string): void {
    bytes -= entries.get(name)?.bytes ?? 0;
    entries.delete(name);
  }

  /** Always waits before it writes, so that it ends after the entry knows of it. */
  async function begin(
    name: string,
    entry: Entry,
    isFirst: boolean,
    request: KeyedRequest,
  ): Promise<KeyedAnswer> {
    try {
      const stored = (await (isFirst ? options.findStored(request.ids) : undefined)) ?? [];
      if (stored[0]) {
        if (!request.isSame(stored)) throw reused();
        entry.timestamp = stored[0].timestamp;
      }
      if (stored.length < request.ids.length - 1) await request.write(entry.timestamp);
      const body = request.describe(entry.timestamp);
      entry.answer = body;
      remember(name, entry, body.length);
      return { body, isReplayed: stored.length > 0 };
    } catch (error) {
      entry.answer = undefined;
      const isUnconfirmed = error instanceof ApiError && error.code === 'publish_unconfirmed';
      if (isFirst && !isUnconfirmed && entries.get(name) === entry) forget(name);
      throw error;
    }
  }

  return {
    async answer(request) {
      const name = request.ids[0]?.toHexString() ?? '';
      const known = entries.get(name);
      if (known && known.fingerprint !== request.fingerprint) throw reused();
      if (known?.answer !== undefined) {
        const answered = await known.answer;
        return { body: typeof answered === 'string' ? answered : answered.body, isReplayed: true };
      }
      const entry = known ?? {
        fingerprint: request.fingerprint,
        timestamp: new Date(),
        answer: undefined,
        bytes: 0,
      };
      const answer = begin(name, entry, known === undefined, request);
      entry.answer = answer;
      remember(name, entry, 0);
      return answer;
    },
  };
}

function reused(): ApiError {
  return new ApiError(
    'idempotency_key_reused',
    'Idempotency-Key: this key was used before with another body. Send another request with another key.',
  );
}
