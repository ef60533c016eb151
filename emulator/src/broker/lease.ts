/**
 * A message that a subscription has in memory.
 *
 * `leased` (handed out until its ack deadline) → gone when acked; → `waiting` (a retry policy's backoff) or `ready`
 * (to be handed out again) when nacked or expired; → `forwarding` when its delivery attempts are used up.
 * `held` waits behind another message of its ordering key. A crash ends all of them: what was not acked is backlog.
 */
import type { Consumer } from './consumer.ts';
import { Timed } from './deadlines.ts';
import type { KeyQueue } from './ordering.ts';
import type { Subscription } from './subscription.ts';

export type LeaseState = 'leased' | 'waiting' | 'ready' | 'held' | 'forwarding' | 'gone';

export class Lease extends Timed {
  readonly subscription: Subscription;
  readonly sequence: number;
  readonly bytes: number;
  state: LeaseState = 'held';
  /** Counts the deliveries of all messages; with the sequence number it makes the ack id. */
  generation = 0;
  attempts = 0;
  /** Who holds it while `leased`. */
  consumer: Consumer | undefined;
  /** Set where the subscription delivers in order and the message has a key. */
  queue: KeyQueue | undefined;
  /** With an ordering key: acked, which counts once all earlier ones of the key are. */
  isAcked = false;
  /** Whether it is in the heap of what is to be delivered again. */
  isQueued = false;

  constructor(subscription: Subscription, sequence: number, bytes: number) {
    super();
    this.subscription = subscription;
    this.sequence = sequence;
    this.bytes = bytes;
  }
}
