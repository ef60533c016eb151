/**
 * Sends what cannot be stored to the dead-letter topic, whole and with its reason, and waits for the
 * confirmation. The broker's own dead-letter policy is not used: it counts deliveries, so in a long
 * MongoDB outage it would move good envelopes.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { attributeBytesMax } from '@assessment/api/pubsub';
import { Abandoned, orAbandoned } from './abandoned.ts';

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
  signal: AbortSignal;
  onRetry?: (error: unknown) => void;
}

/**
 * Data of one letter. A publish request may have 10 MB, https://docs.cloud.google.com/pubsub/quotas#resource_limits,
 * and a message that filled one has no room for the attributes: it lands in parts. No envelope is that large.
 */
const dataBytesMax = 9 * 1024 * 1024;

/** As long as a dead-letter topic is missing nothing is acknowledged, and once in this long is enough to ask. */
const pauseMs = 5_000;

export function createDeadLetter(options: DeadLetterOptions) {
  /** @throws Abandoned when `signal` was aborted before the broker confirmed. */
  return async function deadLetter(message: DeadMessage, reason: string): Promise<void> {
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
  };

  async function sendUntilConfirmed(letter: DeadLetter): Promise<void> {
    for (;;) {
      try {
        await orAbandoned(options.signal, () => options.send(letter));
        return;
      } catch (error) {
        if (error instanceof Abandoned) throw error;
        options.onRetry?.(error);
      }
      await pause(pauseMs, undefined, { signal: options.signal }).catch(() => {});
    }
  }
}

/** At most `attributeBytesMax` bytes of UTF-8, and never empty. */
function cut(reason: string): string {
  const bytes = Buffer.from(reason.toWellFormed());
  return (
    new TextDecoder().decode(bytes.subarray(0, attributeBytesMax), { stream: true }) || 'no reason given'
  );
}
