/**
 * The way of an envelope through the writer: leased → read → batched → its writes made and stored → acknowledged.
 *
 * Each message ends in exactly one of three ways. `ack`: all its writes are stored and journaled, or it is
 * confirmed in the dead-letter topic. `nack`: the process is stopping, another writer gets it. Neither,
 * when the process dies: the lease runs out, and the broker delivers it again.
 */
import {
  type ReadableEnvelope,
  readEnvelope,
  UnreadableEnvelope,
  type Write,
} from '@assessment/api/envelope';
import { Abandoned } from './abandoned.ts';
import { type Batcher, createBatcher, type FlushReason, type LeasedEnvelope } from './batcher.ts';
import type { BulkWriter, Refusal } from './bulk-writer.ts';
import type { DeadMessage } from './dead-letter.ts';

/** What the writer needs of a message of the client library. */
interface LeasedMessage extends DeadMessage {
  ack(): void;
  nack(): void;
}

/** What becomes of an envelope. */
export const outcomes = ['stored', 'dead_letter', 'returned'] as const;

export interface WriterOptions {
  bulkWriter: Pick<BulkWriter, 'store'>;
  deadLetter: (message: DeadMessage, reason: string) => Promise<void>;
  batch: { writesMax: number; bytesMax: number; ageMaxMs: number };
  onBatch?: (writes: number, reason: FlushReason) => void;
  /** Told of each batch before it is stored; what it returns is called afterwards. */
  onStoring?: (messages: DeadMessage[], writes: number) => (error?: unknown) => void;
  onSettled?: (outcome: (typeof outcomes)[number], message: DeadMessage) => void;
}

export interface Writer {
  receive(message: LeasedMessage): void;
  /** Hands on the batch that is being collected and resolves when every received message is settled. */
  drain(): Promise<void>;
}

export function createWriter(options: WriterOptions): Writer {
  const underWay = new Set<Promise<void>>();
  const batcher: Batcher<LeasedMessage> = createBatcher({
    ...options.batch,
    onBatch(batch, writes, reason) {
      options.onBatch?.(writes, reason);
      track(storeBatch(batch, writes));
    },
  });

  function track(promise: Promise<void>): void {
    underWay.add(promise);
    // One that rejects is a fault that nobody handles: main.ts logs it, drains, and ends the process.
    void promise.finally(() => underWay.delete(promise));
  }

  function receive(message: LeasedMessage): void {
    let envelope: ReadableEnvelope;
    try {
      envelope = readEnvelope(message.data);
    } catch (error) {
      // Not thrown: the client would take it, and hold the lease for ever.
      const settled = error instanceof UnreadableEnvelope;
      track(settled ? sendToDeadLetter(message, error.message) : Promise.reject(error));
      return;
    }
    batcher.add({ envelope, bytes: message.data.length, message });
  }

  async function storeBatch(batch: LeasedEnvelope<LeasedMessage>[], count: number): Promise<void> {
    let refusals: Refusal[];
    const writesOf: Write[][] = [];
    // When it is the batch's turn: packed writes take 275 bytes, and as documents about 1 kB, which the collector moves.
    function* makeWrites() {
      for (const { envelope } of batch) {
        const writes = envelope.writes();
        writesOf.push(writes);
        yield* writes;
      }
    }
    const onEnded = options.onStoring?.(
      batch.map(({ message }) => message),
      count,
    );
    try {
      refusals = await options.bulkWriter.store(makeWrites());
      onEnded?.();
    } catch (error) {
      onEnded?.(error);
      for (const { message } of batch) giveBack(message);
      if (error instanceof Abandoned) return;
      throw error;
    }
    const reasons = new Map(
      refusals.map(({ write, reason }) => [write, `${write._id.toHexString()}: ${reason}`]),
    );
    const poison: Promise<void>[] = [];
    for (const [index, { message }] of batch.entries()) {
      const refused = reasons.size > 0 ? (writesOf[index] ?? []).filter((write) => reasons.has(write)) : [];
      if (refused.length === 0) {
        message.ack();
        options.onSettled?.('stored', message);
      } else {
        poison.push(sendToDeadLetter(message, refused.map((write) => reasons.get(write)).join('; ')));
      }
    }
    await Promise.all(poison);
  }

  async function sendToDeadLetter(message: LeasedMessage, reason: string): Promise<void> {
    try {
      await options.deadLetter(message, reason);
    } catch (error) {
      giveBack(message);
      if (error instanceof Abandoned) return;
      throw error;
    }
    message.ack();
    options.onSettled?.('dead_letter', message);
  }

  function giveBack(message: LeasedMessage): void {
    message.nack();
    options.onSettled?.('returned', message);
  }

  return {
    receive,
    async drain() {
      batcher.drain();
      while (underWay.size > 0) await Promise.all(underWay);
    },
  };
}
