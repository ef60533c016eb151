/**
 * Looks documents up by their ids, many in one operation.
 *
 * asked → waiting → in MongoDB → found or not. What is asked in one turn, and what is asked while every place is taken, is
 * one `$in`. So a thousand look-ups are ten operations, however far MongoDB is. An id that waits already is not asked for
 * twice. Each document is handed on as it arrives.
 *
 * Memory: the ids that wait, and of each place one reply of MongoDB's, which has 16 MiB at most.
 */
import type { Collection, ObjectId, WithId } from 'mongodb';
import pLimit from 'p-limit';
import type { Write } from './envelope.ts';
import { ApiError } from './errors.ts';
import { withinDeadline } from './mongo-deadline.ts';

/** Ids of one operation. MongoDB's first reply has up to 101 documents, so most operations are one round trip. */
const batchIdsMax = 100;

/** The time of a look-up, from its arrival to its answer. Long enough for a busy node, and a client still waits for it. */
const answerTimeoutMs = 2_000;

/** What one place answers within that time at 20 ms from MongoDB. More than these would wait in vain. */
const waitingIdsMax = (answerTimeoutMs / 20) * batchIdsMax;

/**
 * Empty, and an object without a prototype. The driver (7.9.0) takes `{}` and looks a document's keys up in it: what
 * an array holds under a key such as `toString` then comes as a Buffer.
 */
const fieldsAsRaw: Record<string, boolean> = Object.create(null);

type Found = WithId<Write> | null;

interface LookUp {
  id: ObjectId;
  key: string;
  answer: PromiseWithResolvers<Found>;
  /** That wait for it. Without any it leaves the queue. */
  callers: number;
}

export interface RecordLookUps {
  /**
   * The stored documents among `ids`, in their order.
   * @throws ApiError `overloaded` where MongoDB answers and there are more look-ups than it can answer in time,
   *   `database_unavailable` where it does not answer.
   */
  find(ids: readonly ObjectId[]): Promise<WithId<Write>[]>;
  /** Operations in MongoDB, and ids that wait for their turn. */
  operations(): { active: number; waiting: number };
}

export function createRecordLookUps(
  records: Collection<Write>,
  options: { concurrency: number },
): RecordLookUps {
  const waiting = new Map<string, LookUp>();
  const places = pLimit(options.concurrency);
  let isScheduled = false;
  let answeredAt = Number.NEGATIVE_INFINITY;

  function ask(id: ObjectId): LookUp {
    const key = id.toHexString();
    let lookUp = waiting.get(key);
    if (!lookUp) {
      lookUp = { id, key, answer: Promise.withResolvers(), callers: 0 };
      lookUp.answer.promise.catch(() => {}); // one that all its callers gave up on is no crash
      waiting.set(key, lookUp);
    }
    lookUp.callers++;
    schedule();
    return lookUp;
  }

  function leave(lookUp: LookUp): void {
    lookUp.callers--;
    if (lookUp.callers === 0 && waiting.get(lookUp.key) === lookUp) waiting.delete(lookUp.key);
  }

  /** At the end of this turn, or when a place is free. */
  function schedule(): void {
    if (isScheduled || places.pendingCount > 0 || waiting.size === 0) return;
    isScheduled = true;
    setImmediate(() => {
      isScheduled = false;
      void places(runBatch);
    });
  }

  function takeBatch(): Map<string, LookUp> {
    const batch = new Map<string, LookUp>();
    for (const [key, lookUp] of waiting) {
      if (batch.size === batchIdsMax) break;
      waiting.delete(key);
      batch.set(key, lookUp);
    }
    return batch;
  }

  async function runBatch(): Promise<void> {
    const batch = takeBatch();
    schedule();
    if (batch.size === 0) return;
    const ids = Array.from(batch.values(), ({ id }) => id);
    try {
      await withinDeadline(answerTimeoutMs, async (bounds) => {
        for await (const record of records.find({ _id: { $in: ids } }, { ...bounds, fieldsAsRaw })) {
          answeredAt = performance.now();
          batch.get(record._id.toHexString())?.answer.resolve(record);
        }
      });
      answeredAt = performance.now();
      for (const { answer } of batch.values()) answer.resolve(null);
    } catch (cause) {
      const error = unavailable(cause);
      for (const { answer } of batch.values()) answer.reject(error);
    }
  }

  return {
    async find(ids) {
      if (waiting.size + ids.length > waitingIdsMax) throw overloaded();
      const askedAt = performance.now();
      const asked = ids.map(ask);
      try {
        const answers = asked.map(({ answer }) => answer.promise);
        const found = await withinDeadline(answerTimeoutMs, () => Promise.all(answers));
        return found.filter((record) => record !== null);
      } catch (cause) {
        if (cause instanceof ApiError) throw cause;
        // MongoDB answered others meanwhile: it is there, and this one's turn did not come.
        throw answeredAt > askedAt ? overloaded(cause) : unavailable(cause);
      } finally {
        for (const lookUp of asked) leave(lookUp);
      }
    },
    operations: () => ({ active: places.activeCount, waiting: waiting.size }),
  };
}

function unavailable(cause: unknown): ApiError {
  return new ApiError('database_unavailable', 'MongoDB is not answering. Try again.', { cause });
}

function overloaded(cause?: unknown): ApiError {
  return new ApiError('overloaded', 'Too many look-ups are waiting for MongoDB. Try again.', { cause });
}
