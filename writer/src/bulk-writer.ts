/**
 * Stores a batch: one unordered bulkWrite of all its documents, journaled before it counts as stored.
 *
 * Every insert is safe to repeat, because ids were made before the envelope was published: a duplicate key
 * is the redelivery of a stored write and counts as stored. So whatever ends without a clear answer is
 * simply done again, with a growing pause, for as long as it takes; the leases stay with this process.
 * What MongoDB refuses for its content is isolated (by its own error for the document, or by halving the
 * batch where the whole command was refused) and reported, while all others are stored.
 *
 * One p-limit bounds the operations in MongoDB. A batch keeps its place in it while it pauses, so a
 * MongoDB that is away is asked by `concurrency` batches and not by all that wait.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Write } from '@assessment/api/envelope';
import { type Collection, MongoBulkWriteError, MongoError, MongoInvalidArgumentError } from 'mongodb';
import pLimit from 'p-limit';
import { Abandoned, orAbandoned } from './abandoned.ts';
import { classifyRefusal, unknownRefusalTriesMax } from './refusals.ts';

/** A document that MongoDB will not take, and why. */
export interface Refusal {
  write: Write;
  reason: string;
}

export interface BulkWriterOptions {
  concurrency: number;
  /** Aborted when the process must stop waiting for MongoDB. */
  signal: AbortSignal;
  onStored?: (stored: { writes: Write[]; insertedCount: number; seconds: number }) => void;
  /** Told of each try that ends without all documents stored, before the pause. */
  onRetry?: (error: unknown, tries: number, pauseMs: number) => void;
}

export interface BulkWriter {
  /**
   * Resolves when each of `writes` is stored or refused for its content. They are taken when it is their turn, so that
   * what waits for it can be what makes them.
   * @throws Abandoned when `signal` was aborted before that.
   */
  store(writes: Iterable<Write>): Promise<Refusal[]>;
  /** Runs `operation` in a place of its own among the bounded operations. @throws Abandoned as `store`. */
  run<T>(operation: () => Promise<T>): Promise<T>;
  /** In MongoDB now, without those that pause before the next try; and those that wait for a place. */
  operations(): { active: number; waiting: number };
}

/** Grows from a hiccup's length to one that asks a dead MongoDB 12 times a minute. */
const pauseMinMs = 100;
const pauseMaxMs = 5_000;

export function createBulkWriter(records: Collection<Write>, options: BulkWriterOptions): BulkWriter {
  const limit = pLimit(options.concurrency);
  let active = 0;

  async function inMongoDb<Value>(operation: () => Promise<Value>): Promise<Value> {
    active++;
    try {
      return await orAbandoned(options.signal, operation);
    } finally {
      active--;
    }
  }

  async function storeAll(writes: Write[]): Promise<Refusal[]> {
    const refusals: Refusal[] = [];
    let remaining = writes;
    for (let tries = 1; remaining.length > 0; tries++) {
      const result = await tryOnce(remaining, tries);
      refusals.push(...result.refusals);
      remaining = result.remaining;
      if (remaining.length > 0) await pauseAfter(result.error, tries);
    }
    return refusals;
  }

  async function tryOnce(writes: Write[], tries: number): Promise<Attempt> {
    const start = performance.now();
    const done = (insertedCount: number, stored: Write[]) => {
      if (stored.length === 0) return;
      options.onStored?.({ writes: stored, insertedCount, seconds: (performance.now() - start) / 1000 });
    };
    try {
      const result = await inMongoDb(() =>
        records.bulkWrite(
          writes.map((document) => ({ insertOne: { document } })),
          { ordered: false, writeConcern: { w: 1, journal: true } },
        ),
      );
      done(result.insertedCount, writes);
      return { refusals: [], remaining: [] };
    } catch (error) {
      if (error instanceof Abandoned) throw error;
      if (isPerDocument(error)) {
        const attempt = sortByDocument(error, writes, tries);
        done(error.insertedCount, attempt.stored);
        return attempt;
      }
      if (isAboutContent(error)) return { refusals: await isolate(writes, error), remaining: [] };
      return { refusals: [], remaining: writes, error };
    }
  }

  /** Halves until the refused documents stand alone; each half goes through the whole of `storeAll`. */
  async function isolate(writes: Write[], error: Error): Promise<Refusal[]> {
    const [only] = writes;
    if (writes.length === 1 && only) return [{ write: only, reason: error.message }];
    const middle = Math.ceil(writes.length / 2);
    const first = await storeAll(writes.slice(0, middle));
    return first.concat(await storeAll(writes.slice(middle)));
  }

  async function pauseAfter(error: unknown, tries: number): Promise<void> {
    const longestMs = Math.min(pauseMaxMs, pauseMinMs * 2 ** (tries - 1));
    const pauseMs = longestMs * (0.5 + Math.random() / 2);
    options.onRetry?.(error, tries, pauseMs);
    await pause(pauseMs, undefined, { signal: options.signal }).catch(() => {});
  }

  return {
    store: (writes) =>
      limit(() => {
        // What waits when the process stops waiting for MongoDB is given back as it is.
        if (options.signal.aborted) throw new Abandoned();
        return storeAll([...writes]);
      }),
    run: (operation) => limit(() => inMongoDb(operation)),
    operations: () => ({ active, waiting: limit.pendingCount }),
  };
}

interface Attempt {
  refusals: Refusal[];
  /** To be tried again. */
  remaining: Write[];
  /** Why, for the log. */
  error?: unknown;
}

/** An answer about single documents; one that doubts the write concern leaves all of them in doubt. */
function isPerDocument(error: unknown): error is MongoBulkWriteError {
  return (
    error instanceof MongoBulkWriteError &&
    errorsOf(error).length > 0 &&
    error.result.getWriteConcernError() === undefined
  );
}

function errorsOf(error: MongoBulkWriteError) {
  return Array.isArray(error.writeErrors) ? error.writeErrors : [error.writeErrors];
}

function sortByDocument(
  error: MongoBulkWriteError,
  writes: Write[],
  tries: number,
): Attempt & { stored: Write[] } {
  const stored = new Set(writes);
  const refusals: Refusal[] = [];
  const remaining: Write[] = [];
  for (const writeError of errorsOf(error)) {
    const write = writes[writeError.index];
    if (!write) continue;
    const { code } = writeError;
    const message = writeError.errmsg ?? 'no message';
    const kind = classifyRefusal(code, message);
    if (kind === 'stored') continue;
    stored.delete(write);
    if (kind === 'poison' || (kind === 'unknown' && tries >= unknownRefusalTriesMax)) {
      refusals.push({ write, reason: `MongoDB error ${code}: ${message}` });
    } else {
      remaining.push(write);
    }
  }
  return { refusals, remaining, error, stored: [...stored] };
}

/** The driver refused to send it, or MongoDB refused the whole command for what one document holds. */
function isAboutContent(error: unknown): error is Error {
  if (!(error instanceof Error)) return false;
  if (!(error instanceof MongoError) || error instanceof MongoInvalidArgumentError) return true;
  return typeof error.code === 'number' && classifyRefusal(error.code) === 'poison';
}
