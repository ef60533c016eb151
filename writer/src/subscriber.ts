/**
 * Holds the streaming pull of the subscription open, under flow control.
 *
 * What is leased is bounded by messages and bytes; over a bound the stream pauses and the rest stays with
 * the broker. The client extends the leases of what is held for as long as it is held, so a MongoDB that
 * is away for hours costs no redelivery. A stream that the broker closes for good (its subscription is
 * gone, because it restarted empty) is opened again, with a growing pause, until it is there.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { keepalive } from '@assessment/api/pubsub';
import { Duration, type Message, type PubSub, SubscriptionCloseBehaviors } from '@google-cloud/pubsub';

export interface SubscriberOptions {
  leasedMessagesMax: number;
  leasedBytesMax: number;
  /** How long `close` waits for what is leased to be acknowledged before it gives it back. */
  drainTimeoutMs: number;
  onMessage: (message: Message) => void;
  /** Resolves when every message handed out so far is settled. */
  untilSettled: () => Promise<void>;
  onError: (error: Error) => void;
  /** Between two calls that keep the connection open; tests bring their own. */
  askIntervalMs?: number;
}

export interface Subscriber {
  /** False between a stream that the broker closed for good and the next one. */
  isOpen(): boolean;
  /** Takes no more messages and resolves when all leased ones are answered and the answers are sent. */
  close(): Promise<void>;
}

/** The leases of a writer that died pass on after this long; a living one extends them in time. */
const ackDeadlineSeconds = 10;

/** 31 days, the longest retention: longer than that no broker keeps the message either. */
const extensionMaxSeconds = 31 * 24 * 3600;

/** Acks of this long share a call; longer would hold leases of what is stored already. */
const ackBatchMs = 20;

/**
 * Between two tries for a stream while the broker is away. With the client's own bound of 60 s the writer would stand idle
 * for up to as long after the broker's return.
 */
const retryMaxSeconds = 1;

/**
 * Between two calls whose answers come on the stream's own connection. A server closes a connection at the third ping since
 * it last sent something (the api's pubsub.ts), and a stream without messages brings nothing. In 15 s there are two pings at
 * most.
 */
const askIntervalMs = 1.5 * keepalive.timeMs;

const askOptions = { timeout: keepalive.timeoutMs, retry: null };

/** Between a stream that was closed for good and the next. */
const pauseMinMs = 100;
const pauseMaxMs = 5_000;

export function createSubscriber(pubsub: PubSub, name: string, options: SubscriberOptions): Subscriber {
  let isClosing = false;
  let subscription = open();
  let isOpen = true;
  let failures = 0;
  let reopening: Promise<void> | undefined;
  const closing = new AbortController();
  // Any answer will do, also a refusal.
  const asking = setInterval(() => {
    void pubsub
      .subscription(name)
      .getMetadata(askOptions)
      .catch(() => {});
  }, options.askIntervalMs ?? askIntervalMs);

  function open() {
    const opened = pubsub.subscription(name, {
      flowControl: {
        maxMessages: options.leasedMessagesMax,
        maxBytes: options.leasedBytesMax,
        // Excess is what one response brought over the bound. With `false` the client (6.3.0) keeps it
        // aside and, when a large message was what filled the bound, does not hand it out until the next
        // message comes, which may be never.
        allowExcessMessages: true,
      },
      // Bounds hold for each stream, so there is one.
      streamingOptions: { maxStreams: 1, retryMaxBackoff: Duration.from({ seconds: retryMaxSeconds }) },
      batching: { maxMilliseconds: ackBatchMs },
      minAckDeadline: Duration.from({ seconds: ackDeadlineSeconds }),
      maxAckDeadline: Duration.from({ seconds: ackDeadlineSeconds }),
      maxExtensionTime: Duration.from({ seconds: extensionMaxSeconds }),
      closeOptions: {
        behavior: SubscriptionCloseBehaviors.WaitForProcessing,
        timeout: Duration.from({ milliseconds: options.drainTimeoutMs }),
      },
    });
    opened.on('error', (error) => {
      options.onError(error);
      reopening ??= reopen();
    });
    opened.on('message', (message) => {
      failures = 0;
      options.onMessage(message);
    });
    return opened;
  }

  async function reopen(): Promise<void> {
    isOpen = false;
    await subscription.close();
    // What the old stream handed out still takes memory, so the new one waits: the bounds hold for both.
    await options.untilSettled();
    const pauseMs = Math.min(pauseMaxMs, pauseMinMs * 2 ** failures++);
    await pause(pauseMs, undefined, { signal: closing.signal }).catch(() => {});
    reopening = undefined;
    if (isClosing) return;
    subscription = open();
    isOpen = true;
  }

  return {
    isOpen: () => isOpen,
    async close() {
      isClosing = true;
      isOpen = false;
      closing.abort();
      clearInterval(asking);
      await reopening;
      await subscription.close();
    },
  };
}
