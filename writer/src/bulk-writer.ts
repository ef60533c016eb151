/**
 * Stores a batch: one unordered bulkWrite of all its documents, journaled before it counts as stored.
 *
 * Every insert is safe to repeat, because ids were made before the envelope was published. So whatever ends without a
 * clear answer is simply done again, with a growing pause, for as long as it takes; the leases stay with this process.
 *
 * A document ends in one of three ways:
 * - stored: inserted, or there already. A duplicate of `_id` is the redelivery of a stored write; where that is not
 *   certain, duplicates.ts reads what is stored.
 * - refused: MongoDB refuses it for what it holds. It goes to the dead letters.
 * - held: MongoDB refuses it, and everything else too, so the refusal says nothing of the document. It is stored again
 *   when the circuit breaker lets it (circuit-breaker.ts). A document that was held is refused for good when it is
 *   refused again after a later try stored another one.
 *
 * A refusal is believed when a document after it was stored, in the same command or a later one, or when few were refused
 * in a row. Where MongoDB refuses a whole command, halves of it are tried, in random order, until refused documents stand
 * alone. As long as no half is stored that stops after three documents (round.ts), and the rest is held: a bad option
 * costs 20 commands and not two for each document.
 *
 * One p-limit bounds the operations in MongoDB. A batch keeps its place in it while it pauses, so a MongoDB that is away
 * is asked by `concurrency` batches and not by all that wait. What is held has no place, so good writes go on.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Write } from '@assessment/api/envelope';
import { isKeyedId } from '@assessment/api/idempotency-key';
import type { Collection } from 'mongodb';
import pLimit from 'p-limit';
import { Abandoned, orAbandoned } from './abandoned.ts';
import { type Answers, type CommandRefusal, readFailure } from './answers.ts';
import type { CircuitBreaker } from './circuit-breaker.ts';
import { lookUpDuplicates } from './duplicates.ts';
import { growingPauseMs } from './probes.ts';
import { classifyCode, isDuplicateId, type RefusalKind, unknownRefusalTriesMax } from './refusals.ts';
import { createRound, type Outcome, type Round } from './round.ts';

export interface BulkWriterOptions {
  concurrency: number;
  breaker: CircuitBreaker;
  /** Aborted when the process must stop waiting for MongoDB. */
  signal: AbortSignal;
  onStored?: (stored: { writes: Write[]; insertedCount: number; seconds: number }) => void;
  /** Told of each try that ends without all documents stored, before the pause. */
  onRetry?: (error: unknown, tries: number, pauseMs: number) => void;
}

export interface BulkWriter {
  /**
   * Resolves when each of `writes` is stored, refused or held. They are taken when it is their turn, so that what waits
   * for it can be what makes them.
   * @param heldSince of the outcome that held them
   * @throws Abandoned when `signal` was aborted before that.
   */
  store(writes: Iterable<Write>, heldSince?: number): Promise<Outcome>;
  /** Runs `operation` in a place of its own among the bounded operations. @throws Abandoned as `store`. */
  run<T>(operation: () => Promise<T>): Promise<T>;
  /** In MongoDB now, without those that pause before the next try; and those that wait for a place. */
  operations(): { active: number; waiting: number };
}

const reusedKey = 'the Idempotency-Key of this document was used before with another body';

export function createBulkWriter(records: Collection<Write>, options: BulkWriterOptions): BulkWriter {
  const { breaker } = options;
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

  async function storeAll(writes: Write[], round: Round): Promise<void> {
    let remaining = writes;
    for (let tries = 0; remaining.length > 0; tries++) {
      const attempt = await tryOnce(remaining, round);
      const { refusal } = attempt;
      if (refusal && isOfContent(refusal.kind, refusal.code, undefined, round)) {
        await isolate(remaining, refusal, round);
        return;
      }
      remaining = attempt.remaining;
      if (remaining.length > 0) await pauseAfter(attempt.error, tries);
    }
  }

  async function tryOnce(writes: Write[], round: Round): Promise<Attempt> {
    const start = performance.now();
    const since = breaker.now();
    const done = (insertedCount: number, stored: Write[]) => {
      if (insertedCount > 0) breaker.stored(since);
      if (stored.length === 0) return;
      round.taken();
      options.onStored?.({ writes: stored, insertedCount, seconds: (performance.now() - start) / 1000 });
    };
    try {
      const result = await inMongoDb(() =>
        records.bulkWrite(
          writes.map((document) => ({ insertOne: { document } })),
          { ordered: false },
        ),
      );
      if (result.insertedCount > 0) round.inserted();
      done(result.insertedCount, writes);
      return { remaining: [] };
    } catch (error) {
      if (error instanceof Abandoned) throw error;
      const failure = readFailure(error, writes.length);
      if ('kind' in failure) return { remaining: writes, refusal: failure, error };
      const { stored, insertedCount, remaining } = await sortByDocument(writes, failure, round);
      done(insertedCount, stored);
      return { remaining, error };
    }
  }

  /** In the order in which MongoDB takes them, because a refusal before an insert is believed. */
  async function sortByDocument(writes: Write[], answers: Answers, round: Round) {
    const duplicates = await lookUpDoubtful(writes, answers);
    const stored: Write[] = [];
    const remaining: Write[] = [];
    let insertedCount = 0;
    for (const [index, write] of writes.entries()) {
      const answer = answers[index];
      if (!answer) {
        insertedCount++;
        round.inserted();
        stored.push(write);
        continue;
      }
      const { code, errmsg = 'no message' } = answer;
      const kind = classifyCode(code);
      const duplicate = kind === 'duplicate' ? (duplicates.get(write) ?? 'stored') : undefined;
      if (duplicate === 'stored') stored.push(write);
      else if (duplicate === 'different') round.refuseForGood(write, reusedKey);
      else if (duplicate === 'missing' || isOfContent(kind, code, write, round)) {
        round.refuse(write, `MongoDB error ${code}`, errmsg);
      } else remaining.push(write);
    }
    return { stored, insertedCount, remaining };
  }

  /** What cannot be looked up now is `unsettled`, and tried again. */
  async function lookUpDoubtful(writes: Write[], answers: Answers) {
    const doubtful = writes.filter((write, index) => {
      const answer = answers[index];
      if (!answer || classifyCode(answer.code) !== 'duplicate') return false;
      return isKeyedId(write._id) || !isDuplicateId(answer.errmsg ?? '');
    });
    if (doubtful.length === 0) return new Map<Write, never>();
    try {
      const found = await inMongoDb(() => lookUpDuplicates(records, doubtful));
      return new Map(doubtful.map((write, index) => [write, found[index]]));
    } catch (error) {
      if (error instanceof Abandoned) throw error;
      return new Map(doubtful.map((write) => [write, 'unsettled' as const]));
    }
  }

  function isOfContent(
    kind: RefusalKind,
    code: number | undefined,
    write: Write | undefined,
    round: Round,
  ): boolean {
    if (kind !== 'unknown' || code === undefined) return kind === 'content' || kind === 'duplicate';
    return breaker.isOpen() || round.countAnswer(write, code) >= unknownRefusalTriesMax;
  }

  /** Halves until the refused documents stand alone; each half goes through the whole of `storeAll`. */
  async function isolate(writes: Write[], { cause, message }: CommandRefusal, round: Round): Promise<void> {
    const [only] = writes;
    if (writes.length === 1 && only) {
      round.refuse(only, cause, message);
      return;
    }
    const middle = Math.ceil(writes.length / 2);
    const halves = [writes.slice(0, middle), writes.slice(middle)];
    // What is held and tried again takes another way to a document that can be stored.
    if (Math.random() < 0.5) halves.reverse();
    for (const half of halves) {
      if (round.isFutile()) round.hold(half);
      else await storeAll(half, round);
    }
  }

  async function pauseAfter(error: unknown, tries: number): Promise<void> {
    const pauseMs = growingPauseMs(tries);
    options.onRetry?.(error, tries + 1, pauseMs);
    await pause(pauseMs, undefined, { signal: options.signal }).catch(() => {});
  }

  return {
    store: (writes, heldSince) =>
      limit(async () => {
        // What waits when the process stops waiting for MongoDB is given back as it is.
        if (options.signal.aborted) throw new Abandoned();
        const all = [...writes];
        const round = createRound(breaker, all.length, heldSince);
        await storeAll(all, round);
        return round.end();
      }),
    run: (operation) => limit(() => inMongoDb(operation)),
    operations: () => ({ active, waiting: limit.pendingCount }),
  };
}

interface Attempt {
  /** To be tried again. */
  remaining: Write[];
  /** Of the whole command. */
  refusal?: CommandRefusal;
  /** Why, for the log. */
  error?: unknown;
}
