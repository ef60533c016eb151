/**
 * Sends what cannot be stored to the dead-letter topic, whole and with its reason, and waits for the
 * confirmation. The broker's own dead-letter policy is not used: it counts deliveries, so in a long
 * MongoDB outage it would move good envelopes.
 *
 * A letter that is not confirmed waits with its lease, in the waiting room that bounds such leases, and is sent again:
 * one letter after a growing pause, and all that wait once one is confirmed. What finds no room goes back to the broker.
 */
import { attributeBytesMax } from '@assessment/api/pubsub';
import { Abandoned, orAbandoned } from './abandoned.ts';
import { createProbes } from './probes.ts';
import type { WaitingRoom } from './waiting-room.ts';

/** What is needed of a message to pass it on. */
export interface DeadMessage {
  id: string;
  data: Buffer;
  publishTime: Date;
  attributes?: Record<string, string>;
}

interface DeadLetter {
  data: Buffer;
  /**
   * `reason`, `subscription`, `messageId`, `publishTime`, the message's `requestIds`, and `part`, such as `1/2`, of
   * one that is not whole.
   */
  attributes: Record<string, string>;
}

export interface DeadLetterOptions {
  subscription: string;
  /** Resolves when the broker has confirmed. */
  send: (letter: DeadLetter) => Promise<unknown>;
  room: WaitingRoom;
  signal: AbortSignal;
  /** A letter was not confirmed, where the one before was. */
  onUnconfirmed?: (error: unknown) => void;
  /** A letter was confirmed, where the one before was not. */
  onConfirmed?: () => void;
}

export interface DeadLetters {
  /**
   * Resolves when the broker has confirmed.
   * @throws NoRoom when it does not confirm, and there is no room for one more message that waits
   * @throws Abandoned when the process stops, or the waiting room is closed, before that
   */
  send(message: DeadMessage, reason: string): Promise<void>;
  /** Messages that wait to be sent again. */
  waitingCount(): number;
}

/** A message has to go back to the broker, because too many wait already. */
export class NoRoom extends Error {
  override name = 'NoRoom';
}

/**
 * Data of one letter. A publish request may have 10 MB, https://docs.cloud.google.com/pubsub/quotas#resource_limits,
 * and a message that filled one has no room for the attributes: it lands in parts. No envelope is that large.
 */
const dataBytesMax = 9 * 1024 * 1024;

export function createDeadLetters(options: DeadLetterOptions): DeadLetters {
  const { room, signal } = options;
  const probes = createProbes();
  let waitingCount = 0;
  let isConfirming = true;

  async function sendUntilConfirmed(letter: DeadLetter): Promise<void> {
    const bytes = letter.data.length;
    while (!(await isConfirmed(letter))) {
      if (!room.enter(bytes)) throw new NoRoom('too many messages wait for the dead-letter topic');
      waitingCount++;
      try {
        await probes.wait(room.signal());
      } finally {
        waitingCount--;
        room.leave(bytes);
      }
    }
  }

  async function isConfirmed(letter: DeadLetter): Promise<boolean> {
    // As long as letters wait in a full room, one more publish would fail like theirs.
    if (waitingCount > 0 && room.isFull()) return false;
    try {
      await orAbandoned(signal, () => options.send(letter));
    } catch (error) {
      if (error instanceof Abandoned) throw error;
      if (isConfirming) options.onUnconfirmed?.(error);
      isConfirming = false;
      return false;
    }
    if (!isConfirming) options.onConfirmed?.();
    isConfirming = true;
    probes.succeeded();
    return true;
  }

  return {
    async send(message, reason) {
      const requestIds = message.attributes?.requestIds;
      const attributes = {
        ...(requestIds === undefined ? {} : { requestIds }),
        reason: cut(reason),
        subscription: options.subscription,
        messageId: message.id,
        publishTime: message.publishTime.toISOString(),
      };
      const count = Math.ceil(message.data.length / dataBytesMax);
      if (count <= 1) return sendUntilConfirmed({ data: message.data, attributes });
      for (let part = 1; part <= count; part++) {
        const data = message.data.subarray((part - 1) * dataBytesMax, part * dataBytesMax);
        await sendUntilConfirmed({ data, attributes: { ...attributes, part: `${part}/${count}` } });
      }
    },
    waitingCount: () => waitingCount,
  };
}

/** At most `attributeBytesMax` bytes of UTF-8, and never empty. */
function cut(reason: string): string {
  const bytes = Buffer.from(reason.toWellFormed());
  return (
    new TextDecoder().decode(bytes.subarray(0, attributeBytesMax), { stream: true }) || 'no reason given'
  );
}
