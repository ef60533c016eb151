/**
 * Publishes writes and says when the broker holds them.
 *
 * Group commit: an envelope leaves in the turn of the event loop in which its first write arrived, but not sooner than
 * `intervalMs` after the one before it, unless it is full, and never while `concurrency` publish calls are under way.
 * Until then writes share it. So an idle api adds no delay, and a busy one makes envelopes as large as its load is high.
 *
 * A group of writes is `filling` → `waiting` (the next did not fit) → `sent` → confirmed or failed.
 * One deadline runs from its first write on. What is still unsent then was never held and never will be;
 * what was sent without an answer may be held, and its ids make a second arrival harmless.
 *
 * Bounds: the bytes of all writes that are not confirmed (`budget`, over it `overloaded`), calls under way
 * (`concurrency`), and the envelope's own limits. Nothing is kept once its callers have an answer, except
 * by a call under way, which ends by its own timeout.
 */
import { setImmediate } from 'node:timers';
import { type Budget, overloaded } from './budget.ts';
import { EnvelopeBuilder, encodedBytes, envelopeBytesMax, type Write } from './envelope.ts';
import { ApiError, draining } from './errors.ts';
import type { Origin, Travel } from './origin.ts';

/** Sends one message and resolves with its id once the broker has confirmed it, within `timeoutMs` or so. */
export type SendMessage = (data: Buffer, attributes?: Record<string, string>) => Promise<unknown>;

export interface PublisherOptions {
  timeoutMs: number;
  /** Calls of `send` under way at once. */
  concurrency: number;
  /** Between the start of a call and the next one with an envelope that is not full. */
  intervalMs: number;
  /** Writes from which on an envelope is full; a request's own writes are never split. */
  envelopeWritesMax: number;
  /** Of which writes take their bytes until they are confirmed. */
  budget: Budget;
  /** Told of each envelope that the broker confirmed. */
  onConfirmed?: (envelope: SentEnvelope & { messageId: unknown; seconds: number }) => void;
  /** Told of each call that failed, with the cause that callers do not see. */
  onFailed?: (cause: unknown, envelope: SentEnvelope) => void;
  /** Asked once for an envelope with requests that are followed. */
  createTravel?: (origins: readonly Origin[]) => Travel;
}

/** What `send` was given. */
export interface SentEnvelope {
  /** How many, and which; they are decoded for it. */
  count: number;
  writes(): Write[];
  attributes: Record<string, string> | undefined;
}

export interface Publisher {
  /**
   * Resolves when the broker holds all of `writes`, which travel in one envelope.
   * @throws ApiError `overloaded`, `draining`, `publish_not_sent`, `publish_unconfirmed`, `payload_too_large`.
   */
  publish(writes: readonly Write[], origin?: Origin): Promise<void>;
  /** Bytes and envelopes that wait for a confirmation. */
  outstanding(): { bytes: number; calls: number };
  /** Refuses what is new and resolves when everything taken has its answer. */
  close(): Promise<void>;
}

/** A document with an empty binary and an empty array, an upper bound of the envelope's own bytes. */
const envelopeOverheadBytes = 64;

/**
 * Bytes of the five writes of GET /api/data, and a few. A request that was let in is not refused for so little: it would
 * have cost more than a request that is refused when it arrives.
 */
const smallBytes = 2 * 1024;

class Group {
  readonly envelope = new EnvelopeBuilder();
  bytes = envelopeOverheadBytes;
  isSent = false;
  /** Of the requests that are followed; most groups have none. */
  origins: Origin[] | undefined;
  readonly answer = Promise.withResolvers<void>();
  deadline: NodeJS.Timeout | undefined;

  follow(origin: Origin): void {
    this.origins ??= [];
    this.origins.push(origin);
  }

  canFit(writes: readonly Write[], bytes: number, writesMax: number): boolean {
    return this.envelope.count + writes.length <= writesMax && this.bytes + bytes <= envelopeBytesMax;
  }
}

export function createPublisher(send: SendMessage, options: PublisherOptions): Publisher {
  let filling: Group | undefined;
  const waiting: Group[] = [];
  let bytesOutstanding = 0;
  let callsUnderWay = 0;
  /** When a call was begun last, and the timer for the next one. */
  let sentAt = Number.NEGATIVE_INFINITY;
  let pause: NodeJS.Timeout | undefined;
  let isFlushScheduled = false;
  let isClosed = false;
  const idle = Promise.withResolvers<void>();

  async function publish(writes: readonly Write[], origin?: Origin): Promise<void> {
    return untilConfirmed(...take(writes, origin));
  }

  /** @returns the answer of the group that `writes` are in, and their bytes. */
  function take(writes: readonly Write[], origin?: Origin): [Promise<void>, number] {
    if (isClosed) throw draining;
    let bytes = 0;
    for (const write of writes) bytes += encodedBytes(write);
    if (bytes + envelopeOverheadBytes > envelopeBytesMax) {
      throw new ApiError(
        'payload_too_large',
        `The writes of one request may take ${envelopeBytesMax} bytes.`,
      );
    }
    if (bytes <= smallBytes) options.budget.hold(bytes);
    else if (!options.budget.take(bytes)) throw overloaded;
    if (filling && !filling.canFit(writes, bytes, options.envelopeWritesMax)) {
      waiting.push(filling);
      filling = undefined;
      flush();
    }
    filling ??= createGroup();
    for (const write of writes) filling.envelope.add(write);
    filling.bytes += bytes;
    if (origin) filling.follow(origin);
    bytesOutstanding += bytes;
    scheduleFlush();
    return [filling.answer.promise, bytes];
  }

  /** Apart from `take`, because an async function that waits holds all that it has named, here the writes. */
  async function untilConfirmed(answer: Promise<void>, bytes: number): Promise<void> {
    try {
      await answer;
    } finally {
      bytesOutstanding -= bytes;
      options.budget.give(bytes);
      settleIfIdle();
    }
  }

  function createGroup(): Group {
    const group = new Group();
    group.answer.promise.catch(() => {}); // every caller awaits it; a group that all gave up on is no crash
    group.deadline = setTimeout(() => expire(group), options.timeoutMs);
    return group;
  }

  /** At the end of this turn, so that requests read from the sockets in one turn share an envelope. */
  function scheduleFlush(): void {
    if (isFlushScheduled || callsUnderWay >= options.concurrency) return;
    isFlushScheduled = true;
    setImmediate(() => {
      isFlushScheduled = false;
      flush();
    });
  }

  function flush(): void {
    while (callsUnderWay < options.concurrency) {
      const group = waiting.shift() ?? takeFilling();
      if (!group) return;
      void sendGroup(group);
    }
  }

  /** The group that fills, once it may leave; what is too early is asked for again when its time has come. */
  function takeFilling(): Group | undefined {
    if (!filling) return;
    const waitMs = sentAt + options.intervalMs - performance.now();
    if (waitMs > 0 && filling.envelope.count < options.envelopeWritesMax) {
      pause ??= setTimeout(() => {
        pause = undefined;
        flush();
      }, waitMs);
      return;
    }
    clearTimeout(pause);
    pause = undefined;
    const group = filling;
    filling = undefined;
    return group;
  }

  async function sendGroup(group: Group): Promise<void> {
    callsUnderWay++;
    const start = performance.now();
    sentAt = start;
    group.isSent = true;
    const travel = group.origins && options.createTravel?.(group.origins);
    const envelope: SentEnvelope = {
      count: group.envelope.count,
      writes: () => group.envelope.writes(),
      attributes: travel?.attributes,
    };
    try {
      const messageId = await send(group.envelope.encode(), travel?.attributes);
      travel?.end();
      options.onConfirmed?.({
        ...envelope,
        messageId,
        seconds: (performance.now() - start) / 1000,
      });
      group.answer.resolve();
    } catch (cause) {
      travel?.end(cause);
      options.onFailed?.(cause, envelope);
      const message = 'The broker did not confirm the writes. They may be stored later.';
      group.answer.reject(new ApiError('publish_unconfirmed', message, { cause }));
    } finally {
      clearTimeout(group.deadline);
      callsUnderWay--;
      flush();
      settleIfIdle();
    }
  }

  function expire(group: Group): void {
    if (group.isSent) {
      const message = 'The broker did not confirm the writes in time. They may be stored later.';
      group.answer.reject(new ApiError('publish_unconfirmed', message));
      return;
    }
    if (group === filling) filling = undefined;
    else waiting.splice(waiting.indexOf(group), 1);
    const message = 'The broker is not answering; nothing was sent. Try again.';
    group.answer.reject(new ApiError('publish_not_sent', message));
  }

  function settleIfIdle(): void {
    if (isClosed && bytesOutstanding === 0 && callsUnderWay === 0) idle.resolve();
  }

  return {
    publish,
    outstanding: () => ({ bytes: bytesOutstanding, calls: callsUnderWay }),
    close() {
      isClosed = true;
      settleIfIdle();
      return idle.promise;
    },
  };
}
