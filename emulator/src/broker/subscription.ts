/**
 * A subscription: which messages of its topic it is done with, which are handed out, and what becomes of them.
 *
 * A message is backlog (on disk, from `cursor` on) → leased → done, when it is acked, dead-lettered, filtered out or
 * older than the retention; or leased → to be delivered again (lease.ts). Only what was handed out and is not done
 * is in memory, up to `bounds.leasesPerSubscription`; the backlog is no more than two numbers, whatever its length.
 *
 * An ack is durable once `store.committed()` resolves. After a crash every message that is not done is backlog again,
 * with the delivery attempts that a dead-letter policy counts; ack ids from before still work (ack-id.ts).
 */
import type { Store } from '../store.ts';
import type { AckId } from './ack-id.ts';
import type { Clock } from './clock.ts';
import type { Consumer } from './consumer.ts';
import type { Deadlines } from './deadlines.ts';
import { Delivery } from './delivery.ts';
import { type Filter, parseFilter } from './filter.ts';
import { Lease } from './lease.ts';
import { bounds } from './limits.ts';
import { KeyQueue } from './ordering.ts';
import { backoffMs } from './retry-policy.ts';
import type { SequenceSet, SequenceSetState } from './sequence-set.ts';
import type { SubscriptionSettings } from './settings.ts';
import type { Topic } from './topic.ts';

export interface SubscriptionDeps {
  store: Store;
  clock: Clock;
  deadlines: Deadlines<Lease>;
  /** Counts the starts of the broker and its deliveries: both are in the ack ids. */
  epoch(): number;
  nextGeneration(): number;
  /** Leases of all subscriptions. */
  leaseCount: { value: number };
  /** Publishes the message to the dead-letter topic; false when that is gone. */
  forward(lease: Lease): Promise<boolean>;
  /** Told when the subscription is done with messages: their space may be free. */
  onDone(): void;
}

export interface SubscriptionState {
  number: number;
  settings: SubscriptionSettings;
  topic: number;
  /** Where it began: what was published before it was created. */
  start: number;
  seekEpoch: number;
  lastActiveMs: number;
  done: SequenceSetState;
  attempts: [sequence: number, attempts: number][];
}

/** What became of an ack id in a request. `unordered`: an earlier message of its key comes first. */
export type AckOutcome = 'ok' | 'invalid' | 'unordered';

export class Subscription {
  readonly number: number;
  readonly topic: Topic;
  readonly start: number;
  readonly deps: SubscriptionDeps;
  readonly leases = new Map<number, Lease>();
  readonly keys = new Map<string, KeyQueue>();
  readonly filter: Filter | undefined;
  settings: SubscriptionSettings;
  done: SequenceSet;
  /** The first message that was never handed out since the start or the last seek. */
  cursor: number;
  /** Ack ids of earlier starts of the broker than this one do not count: it was sought since. */
  seekEpoch = 0;
  lastActiveMs: number;
  outstandingCount = 0;
  outstandingBytes = 0;
  /** Delivery attempts from before the last start. */
  readonly earlierAttempts = new Map<number, number>();
  readonly #delivery: Delivery;
  #ackedRanges: [number, number][] = [];

  constructor(
    deps: SubscriptionDeps,
    options: {
      number: number;
      settings: SubscriptionSettings;
      topic: Topic;
      done: SequenceSet;
      start: number;
    },
  ) {
    this.deps = deps;
    this.number = options.number;
    this.settings = options.settings;
    this.topic = options.topic;
    this.done = options.done;
    this.start = options.start;
    this.cursor = this.done.through + 1;
    this.filter = options.settings.filter === '' ? undefined : parseFilter(options.settings.filter);
    this.lastActiveMs = deps.clock.now();
    this.#delivery = new Delivery(this);
  }

  get consumerCount(): number {
    return this.#delivery.consumerCount;
  }

  addConsumer(consumer: Consumer): void {
    this.lastActiveMs = this.deps.clock.now();
    this.#delivery.addConsumer(consumer);
  }

  removeConsumer(consumer: Consumer): void {
    this.lastActiveMs = this.deps.clock.now();
    this.#delivery.removeConsumer(consumer);
  }

  /** Something may be deliverable now: a message came, or a consumer has room. */
  wake(): void {
    this.#delivery.wake();
  }

  get hasRoom(): boolean {
    return (
      this.leases.size < bounds.leasesPerSubscription && this.deps.leaseCount.value < bounds.leasesPerBroker
    );
  }

  /** Puts a message into memory. */
  createLease(sequence: number, bytes: number, key: string): Lease {
    const lease = new Lease(this, sequence, bytes);
    const attempts = this.earlierAttempts.get(sequence);
    if (attempts !== undefined) {
      lease.attempts = attempts;
      this.earlierAttempts.delete(sequence);
    }
    this.leases.set(sequence, lease);
    this.deps.leaseCount.value++;
    if (key !== '') {
      let queue = this.keys.get(key);
      if (!queue) {
        queue = new KeyQueue(key);
        this.keys.set(key, queue);
      }
      lease.queue = queue;
      queue.push(lease);
    }
    return lease;
  }

  /** Hands a message out. Its bytes go to the consumer separately. */
  lease(lease: Lease, consumer: Consumer): void {
    lease.state = 'leased';
    lease.consumer = consumer;
    lease.attempts++;
    lease.isAcked = false;
    lease.generation = this.deps.nextGeneration();
    lease.queue?.leased();
    this.outstandingCount++;
    this.outstandingBytes += lease.bytes;
    this.deps.deadlines.set(lease, this.deps.clock.now() + consumer.ackDeadlineMs());
  }

  acknowledge(ids: readonly AckId[]): AckOutcome[] {
    this.lastActiveMs = this.deps.clock.now();
    const outcomes = ids.map((id) => this.#acknowledge(id));
    this.#keepAcks();
    this.wake();
    return outcomes;
  }

  #acknowledge(id: AckId): AckOutcome {
    const lease = this.#leaseOf(id);
    if (!lease) return this.#acknowledgeEarlier(id) ? 'ok' : 'invalid';
    const { queue } = lease;
    if (!queue) {
      this.#finish(lease);
      return 'ok';
    }
    if (this.settings.isExactlyOnce && !queue.isFirst(lease)) return 'unordered';
    this.#release(lease);
    lease.isAcked = true;
    for (const acked of queue.takeAcked()) this.#finish(acked);
    this.#advance(queue);
    return 'ok';
  }

  /** An id from before a restart: its message counts as acked unless it was delivered again. */
  #acknowledgeEarlier({ epoch, sequence }: AckId): boolean {
    if (epoch >= this.deps.epoch() || epoch < this.seekEpoch || this.leases.has(sequence)) return false;
    if (sequence > this.topic.visible || this.done.has(sequence)) return false;
    this.finishSequence(sequence);
    return true;
  }

  /** `deadlineMs` 0 is a nack: to be delivered again, at once or after the retry policy's backoff. */
  modifyDeadlines(ids: readonly AckId[], deadlineMs: (position: number) => number): AckOutcome[] {
    const now = this.deps.clock.now();
    this.lastActiveMs = now;
    const outcomes = ids.map((id, position): AckOutcome => {
      const lease = this.#leaseOf(id);
      if (!lease || lease.isAcked) return 'invalid';
      const extensionMs = deadlineMs(position);
      if (extensionMs > 0) this.#extend(lease, now + extensionMs);
      else if (lease.state === 'leased') {
        this.#redeliver(lease);
        lease.generation = 0;
      }
      return 'ok';
    });
    this.#keepAcks();
    this.wake();
    return outcomes;
  }

  #extend(lease: Lease, until: number): void {
    if (lease.state === 'ready' || lease.state === 'waiting') {
      // Past its deadline, but not delivered again yet: it stays with who has it.
      lease.state = 'leased';
      this.outstandingCount++;
      this.outstandingBytes += lease.bytes;
    }
    this.deps.deadlines.set(lease, until);
  }

  /** The lease that an ack id means; undefined when it was acked, or replaced by a later delivery. */
  #leaseOf(id: AckId): Lease | undefined {
    if (id.epoch !== this.deps.epoch()) return undefined;
    const lease = this.leases.get(id.sequence);
    return lease && lease.generation === id.generation && lease.state !== 'held' ? lease : undefined;
  }

  /** The deadline of a lease, or the backoff of a waiting message, is over. */
  onDue(lease: Lease): void {
    if (lease.state === 'leased') this.#redeliver(lease);
    else if (lease.state === 'waiting') this.#makeReady(lease);
    this.#keepAcks();
    this.wake();
  }

  #redeliver(lease: Lease): void {
    this.#release(lease);
    lease.consumer = undefined;
    if (lease.queue) {
      for (const follower of lease.queue.takeBack(lease)) {
        this.#release(follower);
        follower.consumer = undefined;
        follower.state = 'held';
        follower.generation = 0;
        follower.isAcked = false;
      }
      lease.generation = 0;
    }
    const { deadLetterPolicy, retryPolicy } = this.settings;
    if (deadLetterPolicy && lease.attempts >= deadLetterPolicy.attemptsMax) {
      lease.state = 'forwarding';
      void this.#forward(lease);
      return;
    }
    const waitMs = backoffMs(retryPolicy, lease.attempts);
    if (waitMs === 0) this.#makeReady(lease);
    else {
      lease.state = 'waiting';
      this.deps.deadlines.set(lease, this.deps.clock.now() + waitMs);
    }
  }

  async #forward(lease: Lease): Promise<void> {
    const isForwarded = await this.deps.forward(lease).catch(() => false);
    if (lease.state !== 'forwarding') return;
    if (isForwarded) this.#finish(lease);
    else this.#makeReady(lease);
    this.#keepAcks();
    this.wake();
  }

  #makeReady(lease: Lease): void {
    lease.state = 'ready';
    this.#delivery.redeliver(lease);
  }

  /** What comes next of a key may have become deliverable. */
  #advance(queue: KeyQueue): void {
    const { next } = queue;
    if (next) this.#makeReady(next);
    else if (queue.isEmpty) this.keys.delete(queue.key);
  }

  /** Lets the next of the key follow what was just handed out. */
  follow(lease: Lease): void {
    if (lease.queue?.next) this.#makeReady(lease.queue.next);
  }

  /** Nobody holds it any more. */
  #release(lease: Lease): void {
    this.deps.deadlines.remove(lease);
    if (lease.state !== 'leased' || lease.isAcked) return;
    this.outstandingCount--;
    this.outstandingBytes -= lease.bytes;
    lease.consumer?.released(lease);
  }

  /** Done with a message that is in memory. */
  #finish(lease: Lease): void {
    this.#release(lease);
    lease.state = 'gone';
    this.leases.delete(lease.sequence);
    this.deps.leaseCount.value--;
    if (lease.queue) {
      lease.queue.remove(lease);
      this.#advance(lease.queue);
    }
    this.finishSequence(lease.sequence);
  }

  /** A message in memory turned out not to be on disk any more, or is older than the retention. */
  drop(lease: Lease): void {
    this.#finish(lease);
    this.#keepAcks();
  }

  /** Done with a message, durably with the next commit. */
  finishSequence(sequence: number): void {
    if (!this.done.add(sequence)) return;
    const last = this.#ackedRanges.at(-1);
    if (last && last[1] + 1 === sequence) last[1] = sequence;
    else this.#ackedRanges.push([sequence, sequence]);
  }

  #keepAcks(): void {
    if (this.#ackedRanges.length === 0) return;
    this.deps.store.appendAcks(this.number, this.#ackedRanges);
    this.#ackedRanges = [];
    this.deps.onDone();
  }

  /** Starts over with what is done: after a seek. Everything outstanding is nobody's any more. */
  reset(done: SequenceSet, seekEpoch: number): void {
    this.dropLeases();
    this.earlierAttempts.clear();
    this.done = done;
    this.cursor = done.through + 1;
    this.seekEpoch = seekEpoch;
    this.#delivery.restart();
    this.wake();
  }

  dropLeases(): void {
    for (const lease of this.leases.values()) {
      this.#release(lease);
      lease.state = 'gone';
    }
    this.deps.leaseCount.value -= this.leases.size;
    this.leases.clear();
    this.keys.clear();
    this.#delivery.restart();
  }

  /** Ends every stream and waiting pull. */
  fail(error: Error): void {
    this.#delivery.fail(error);
  }

  /** Messages that are not done: outstanding ones and the backlog. */
  get unackedCount(): number {
    return Math.max(0, this.topic.visible - this.done.through - this.done.countAbove);
  }

  state(): SubscriptionState {
    const { number, settings, topic, start, seekEpoch, lastActiveMs } = this;
    const attempts: [number, number][] = [...this.earlierAttempts];
    if (settings.deadLetterPolicy) {
      for (const lease of this.leases.values()) attempts.push([lease.sequence, lease.attempts]);
    }
    return {
      number,
      settings,
      topic: topic.number,
      start,
      seekEpoch,
      lastActiveMs,
      done: this.done.state(),
      attempts,
    };
  }
}
