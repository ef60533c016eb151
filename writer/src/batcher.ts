/**
 * Collects leased envelopes into batches, each one bulkWrite.
 *
 * A batch leaves when the next envelope would not fit its count (`count`) or its bytes (`bytes`), or when
 * it is full to the letter, or when its first envelope has waited `ageMaxMs` (`age`), or when the process
 * stops (`drain`). An envelope over a limit by itself is a batch of its own. No I/O; what is collected is
 * bounded by the subscriber's flow control.
 */
import type { ReadableEnvelope } from '@assessment/api/envelope';

/** An envelope that was read, with what is needed to answer the broker for it. */
export interface LeasedEnvelope<Message> {
  envelope: ReadableEnvelope;
  bytes: number;
  message: Message;
}

export const flushReasons = ['count', 'bytes', 'age', 'drain'] as const;

export type FlushReason = (typeof flushReasons)[number];

export interface BatcherOptions<Message> {
  writesMax: number;
  bytesMax: number;
  ageMaxMs: number;
  onBatch: (batch: LeasedEnvelope<Message>[], writes: number, reason: FlushReason) => void;
  /** The clock; tests bring their own. */
  timers?: {
    setTimeout: (callback: () => void, delayMs: number) => unknown;
    clearTimeout: (timer: never) => void;
  };
}

export interface Batcher<Message> {
  add(leased: LeasedEnvelope<Message>): void;
  /** Hands on what is held, whatever its size. */
  drain(): void;
}

export function createBatcher<Message>(options: BatcherOptions<Message>): Batcher<Message> {
  const timers = options.timers ?? globalThis;
  let batch: LeasedEnvelope<Message>[] = [];
  let writes = 0;
  let bytes = 0;
  let timer: unknown;

  function flush(reason: FlushReason): void {
    timers.clearTimeout(timer as never);
    if (batch.length === 0) return;
    const full = batch;
    const count = writes;
    batch = [];
    writes = 0;
    bytes = 0;
    options.onBatch(full, count, reason);
  }

  return {
    add(leased) {
      if (writes + leased.envelope.count > options.writesMax) flush('count');
      else if (bytes + leased.bytes > options.bytesMax) flush('bytes');
      if (batch.length === 0) timer = timers.setTimeout(() => flush('age'), options.ageMaxMs);
      batch.push(leased);
      writes += leased.envelope.count;
      bytes += leased.bytes;
      if (writes >= options.writesMax) flush('count');
      else if (bytes >= options.bytesMax) flush('bytes');
    },
    drain: () => flush('drain'),
  };
}
