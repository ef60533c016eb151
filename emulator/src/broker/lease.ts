/**
 * A message that a subscription has in memory.
 *
 * `leased` (handed out until its ack deadline) → gone when acked; → `waiting` (a retry policy's backoff) or `ready`
 * (to be handed out again) when nacked or expired; → `forwarding` when its delivery attempts are used up.
 * `held` waits behind another message of its ordering key. A crash ends all of them: what was not acked is backlog.
 */
import type { Consumer } from './consumer.ts';
import { Timed } from './deadlines.ts';
import type { SubscriptionSettings } from './settings.ts';

export type LeaseState = 'leased' | 'waiting' | 'ready' | 'held' | 'forwarding' | 'gone';

/** Its subscription, as far as those need it who hold the lease. */
export interface LeaseOwner {
  readonly number: number;
  readonly settings: SubscriptionSettings;
  /** Its deadline, or the wait before it is delivered again, is over. */
  onDue(lease: Lease): void;
  /** It is its turn to go to the dead-letter topic. Resolves when it is there, or is to be delivered again. */
  forward(lease: Lease): Promise<void>;
}

export class Lease extends Timed {
  readonly subscription: LeaseOwner;
  readonly sequence: number;
  readonly bytes: number;
  /** Its ordering key where the subscription delivers in order, else empty. */
  readonly key: string;
  /** Changed by `Leases.move()` alone, which counts. */
  state: LeaseState = 'held';
  /** Counts the deliveries of all messages; with the sequence number it makes the ack id. */
  generation = 0;
  attempts = 0;
  /** Who holds it while `leased`, and may extend it as long as it is not delivered again after its deadline. */
  consumer: Consumer | undefined;
  /** Whether its consumer extended it, which clients do at once with what they have read. */
  isRead = false;
  /** Its stream ended before that: unless it is extended soon, it goes back. */
  isForsaken = false;
  /** With an ordering key: acked, which counts once all earlier ones of the key are. */
  isAcked = false;
  /** Whether it is in the heap of what is to be delivered again. */
  isQueued = false;

  constructor(subscription: LeaseOwner, sequence: number, bytes: number, key: string) {
    super();
    this.subscription = subscription;
    this.sequence = sequence;
    this.bytes = bytes;
    this.key = key;
  }
}
