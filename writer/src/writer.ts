/**
 * The way of an envelope through the writer: leased → read → batched → its writes made and stored → acknowledged.
 *
 * Each message ends in exactly one of three ways. `ack`: all its writes are stored and journaled, or it is
 * confirmed in the dead-letter topic. `nack`: the process is stopping, or too many messages wait already, and the broker
 * delivers it again. Neither, when the process dies: the lease runs out, and the broker delivers it again.
 *
 * An envelope with a write that is held (bulk-writer.ts) waits in the waiting room, as messages do that the dead-letter
 * topic does not take. What finds no room there is given back after a pause. Of those that wait no documents are kept,
 * they are made again of the envelope.
 */
import { setTimeout as pause } from 'node:timers/promises';
import {
  type ReadableEnvelope,
  readEnvelope,
  UnreadableEnvelope,
  type Write,
} from '@assessment/api/envelope';
import { Abandoned } from './abandoned.ts';
import { type Batcher, createBatcher, type FlushReason, type LeasedEnvelope } from './batcher.ts';
import type { BulkWriter } from './bulk-writer.ts';
import type { CircuitBreaker } from './circuit-breaker.ts';
import { type DeadLetters, type DeadMessage, NoRoom } from './dead-letter.ts';
import type { Outcome } from './round.ts';
import type { WaitingRoom } from './waiting-room.ts';

/** What the writer needs of a message of the client library. */
interface LeasedMessage extends DeadMessage {
  ack(): void;
  nack(): void;
}

/** What becomes of an envelope. */
export const outcomes = ['stored', 'dead_letter', 'returned'] as const;

export interface WriterOptions {
  bulkWriter: Pick<BulkWriter, 'store'>;
  breaker: Pick<CircuitBreaker, 'untilNextTry'>;
  deadLetters: Pick<DeadLetters, 'send'>;
  room: WaitingRoom;
  batch: { writesMax: number; bytesMax: number; ageMaxMs: number };
  onBatch?: (writes: number, reason: FlushReason) => void;
  /** Told of each batch before it is stored; what it returns is called afterwards. */
  onStoring?: (messages: DeadMessage[], writes: number) => (error?: unknown) => void;
  onSettled?: (outcome: (typeof outcomes)[number], message: DeadMessage) => void;
}

export interface Writer {
  receive(message: LeasedMessage): void;
  /**
   * Hands on the batch that is being collected and resolves when every received message is settled. What waits for a
   * remedy is given back at once.
   */
  drain(): Promise<void>;
  /** Envelopes that wait because MongoDB refuses everything. */
  heldCount(): number;
}

/**
 * Before a message for which there is no room is given back: the broker may deliver it again at once, and with nothing
 * but such messages a writer then takes as many in a second as it may lease.
 */
const returnPauseMs = 1_000;

export function createWriter(options: WriterOptions): Writer {
  const underWay = new Set<Promise<void>>();
  let heldCount = 0;
  let drainCount = 0;
  const batcher: Batcher<LeasedMessage> = createBatcher({
    ...options.batch,
    onBatch(batch, writes, reason) {
      options.onBatch?.(writes, reason);
      track(storeBatch(batch));
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

  /** @param heldSince of the outcome that held them, undefined at the first time */
  async function storeBatch(batch: LeasedEnvelope<LeasedMessage>[], heldSince?: number): Promise<void> {
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
      batch.reduce((sum, { envelope }) => sum + envelope.count, 0),
    );
    let outcome: Outcome;
    try {
      outcome = await options.bulkWriter.store(makeWrites(), heldSince);
      onEnded?.();
    } catch (error) {
      onEnded?.(error);
      for (const { message } of batch) giveBack(message);
      if (error instanceof Abandoned) return;
      throw error;
    }
    const unsettled = new Set(outcome.held);
    const reasons = new Map(
      outcome.refusals.map(({ write, reason }) => [write, `${write._id.toHexString()}: ${reason}`]),
    );
    const held = batch.filter((leased, index) => {
      const writes = unsettled.size + reasons.size > 0 ? (writesOf[index] ?? []) : [];
      // Its refused writes are refused again then, and told together.
      if (writes.some((write) => unsettled.has(write))) return true;
      settle(leased.message, writes.map((write) => reasons.get(write)).filter(isText));
      return false;
    });
    hold(held, outcome.heldSince);
  }

  function settle(message: LeasedMessage, reasons: string[]): void {
    if (reasons.length > 0) {
      track(sendToDeadLetter(message, reasons.join('; ')));
      return;
    }
    message.ack();
    options.onSettled?.('stored', message);
  }

  /** What waits keeps nothing of its batch but its own envelopes: the others are acknowledged, and take no lease. */
  function hold(envelopes: LeasedEnvelope<LeasedMessage>[], heldSince: number): void {
    const held = envelopes.filter(({ message, bytes }) => {
      const isIn = options.room.enter(bytes);
      if (!isIn) track(giveBackLater(message));
      return isIn;
    });
    if (held.length > 0) track(storeAgain(held, heldSince));
  }

  async function storeAgain(held: LeasedEnvelope<LeasedMessage>[], heldSince: number): Promise<void> {
    const { room, breaker } = options;
    heldCount += held.length;
    try {
      await breaker.untilNextTry(room.signal());
    } catch (error) {
      for (const { message } of held) giveBack(message);
      if (error instanceof Abandoned) return;
      throw error;
    } finally {
      heldCount -= held.length;
      for (const { bytes } of held) room.leave(bytes);
    }
    await storeBatch(held, heldSince);
  }

  async function sendToDeadLetter(message: LeasedMessage, reason: string): Promise<void> {
    try {
      await options.deadLetters.send(message, reason);
    } catch (error) {
      if (error instanceof NoRoom) return giveBackLater(message);
      giveBack(message);
      if (error instanceof Abandoned) return;
      throw error;
    }
    message.ack();
    options.onSettled?.('dead_letter', message);
  }

  async function giveBackLater(message: LeasedMessage): Promise<void> {
    await pause(returnPauseMs, undefined, { signal: options.room.signal() }).catch(() => {});
    giveBack(message);
  }

  function giveBack(message: LeasedMessage): void {
    message.nack();
    options.onSettled?.('returned', message);
  }

  return {
    receive,
    async drain() {
      drainCount++;
      options.room.close();
      batcher.drain();
      while (underWay.size > 0) await Promise.all(underWay);
      if (--drainCount === 0) options.room.open();
    },
    heldCount: () => heldCount,
  };
}

function isText(reason: string | undefined): reason is string {
  return reason !== undefined;
}
