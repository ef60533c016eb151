/**
 * A subscription: what becomes of its topic's messages.
 *
 * A message is backlog (on disk, progress.ts) → leased (in memory, lease.ts) → done, when it is acked, dead-lettered,
 * filtered out or older than the retention; or leased → to be delivered again. This file holds what acks, nacks and
 * deadlines do to leases; delivery.ts hands messages out.
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
import type { Epochs } from './epochs.ts';
import { type Filter, parseFilter } from './filter.ts';
import type { Forwarding } from './forwarding.ts';
import type { Lease, LeaseOwner } from './lease.ts';
import { Leases } from './leases.ts';
import { bounds } from './limits.ts';
import { type NewMessage, readAttributes } from './message.ts';
import type { KeyQueue } from './ordering.ts';
import { Progress } from './progress.ts';
import { backoffMs } from './retry-policy.ts';
import type { SequenceSet, SequenceSetState } from './sequence-set.ts';
import type { SubscriptionSettings } from './settings.ts';
import type { SharedRoom } from './shared-room.ts';
import type { Topic } from './topic.ts';

export interface SubscriptionDeps {
  /** Not there before the log was replayed. */
  store: () => Store;
  clock: Clock;
  deadlines: Deadlines<Lease>;
  /** The starts of the broker, and a count of its deliveries: both are in the ack ids. */
  epochs(): Epochs;
  nextGeneration(): number;
  /** For the leases of all subscriptions together. */
  leaseRoom: SharedRoom;
  /** Those of all subscriptions that wait for their turn to be forwarded. */
  forwarding: Forwarding;
  /** Publishes the message to the dead-letter topic; false when that is gone. */
  forward(subscription: Subscription, lease: Lease): Promise<boolean>;
  /** Told when the subscription is done with messages: their space may be free. */
  onDone(): void;
}

/** Messages up to a sequence number that are not too old until then, whatever the retention is. */
export interface Retained {
  through: number;
  untilMs: number;
}

export interface SubscriptionOptions {
  number: number;
  settings: SubscriptionSettings;
  topic: Topic;
  /** Where it began: what was published before it was created. */
  start: number;
  done: SequenceSet;
  seekEpoch?: number;
  retained?: Retained | undefined;
  attempts?: [sequence: number, attempts: number][];
}

export interface SubscriptionState {
  number: number;
  settings: SubscriptionSettings;
  topic: number;
  start: number;
  seekEpoch: number;
  retained: Retained | undefined;
  done: SequenceSetState;
  attempts: [sequence: number, attempts: number][];
}

/** What became of an ack id in a request. `unordered`: an earlier message of its key comes first. */
export type AckOutcome = 'ok' | 'invalid' | 'unordered';

/**
 * A client that closes nacks, and ends its stream right after: Go's by a unary call, a millisecond before. Delivered at
 * once, the message would go to that stream, or to another of the same client that closes too, and be lost to everybody
 * until its deadline. So it waits this long first, as it does in Google's emulator (55 ms).
 */
const nackHoldMs = 50;

/**
 * The clients of Go, Java, Node and Python extend the deadline of each message that they read, within 100 ms (Go:
 * iterator.go, receiptInterval; Java: MessageDispatcher, PENDING_ACKS_SEND_DELAY; Node: subscriber.js, _onData, and the
 * batching of lease-manager; Python: streaming_pull_manager.py, _on_response). Of what nothing has come this long after
 * its stream ended, nothing was read.
 */
const readReceiptMs = 250;

export class Subscription implements LeaseOwner {
  readonly number: number;
  readonly topic: Topic;
  readonly start: number;
  settings: SubscriptionSettings;
  readonly progress: Progress;
  readonly leases: Leases;
  /** By what it expires. A start counts: what was used before it is not written down. */
  lastActiveMs: number;
  #deps: SubscriptionDeps;
  #filter: Filter | undefined;
  #delivery: Delivery;
  /** Ack ids of earlier starts of the broker than this one do not count: it was sought since. */
  #seekEpoch: number;
  #retained: Retained | undefined;
  /** Acks that count and were refused by a full disk, by sequence number, until they come again. */
  #refusedAcks = new Map<number, AckId>();
  /** With ordering: acks from before a restart, by sequence number, until it is known whether they count. */
  #lateAcks = new Set<number>();

  constructor(deps: SubscriptionDeps, options: SubscriptionOptions) {
    this.#deps = deps;
    this.number = options.number;
    this.settings = options.settings;
    this.topic = options.topic;
    this.start = options.start;
    this.progress = new Progress(options.done);
    this.leases = new Leases(this, deps.deadlines, deps.leaseRoom);
    this.#seekEpoch = options.seekEpoch ?? 0;
    this.#retained = options.retained;
    this.lastActiveMs = deps.clock.now();
    this.restoreAttempts(options.attempts ?? []);
    const { filter } = options.settings;
    this.#filter = filter === '' ? undefined : parseFilter(filter);
    this.#delivery = new Delivery({
      store: deps.store,
      number: this.number,
      topic: this.topic,
      settings: () => this.settings,
      clock: deps.clock,
      nextGeneration: deps.nextGeneration,
      leases: this.leases,
      progress: this.progress,
      filter: this.#filter,
      isTooOld: (sequence, timeMs) =>
        timeMs < deps.clock.now() - this.retentionMs && sequence > this.retainedThrough,
      drop: (lease) => this.drop(lease),
      takeLateAck: (sequence, isFirstOfKey) => this.#takeLateAck(sequence, isFirstOfKey),
    });
  }

  /** All that was published before and is not done: outstanding messages and the backlog. */
  get unackedCount(): number {
    const { through, countAbove } = this.progress.done;
    return Math.max(0, this.topic.visible - through - countAbove);
  }

  /** How long messages are there for it, ms. */
  get retentionMs(): number {
    return this.topic.retentionFor(this.settings);
  }

  /** Up to here a seek to a snapshot brought messages back, which are not too old. */
  get retainedThrough(): number {
    const { through, untilMs } = this.#retained ?? { through: 0, untilMs: 0 };
    return this.#deps.clock.now() < untilMs ? through : 0;
  }

  get consumerCount(): number {
    return this.#delivery.turns.count;
  }

  /** Somebody uses it. */
  touch(): void {
    this.lastActiveMs = this.#deps.clock.now();
  }

  addConsumer(consumer: Consumer): void {
    this.touch();
    this.#delivery.addConsumer(consumer);
  }

  removeConsumer(consumer: Consumer): void {
    this.touch();
    this.#delivery.removeConsumer(consumer);
    this.#giveUp();
  }

  /** A stream has ended: what it was given and has not read goes back, long before the deadline. */
  forsake(consumer: Consumer): void {
    // https://cloud.google.com/pubsub/docs/exactly-once-delivery: nothing outstanding is delivered again.
    if (this.settings.isExactlyOnce) return;
    this.leases.forsake(consumer, this.#deps.clock.elapsed() + readReceiptMs);
  }

  /**
   * Messages came, from `first` on. What the filter leaves out is done at once, so that the backlog is true and its
   * space is free without a consumer; after a restart that is found again when it is delivered.
   */
  published(first: number, messages: readonly NewMessage[]): void {
    if (this.#filter) {
      for (const [at, { buffer, start, end }] of messages.entries()) {
        if (!this.#filter(readAttributes(buffer, start, end))) this.progress.done.add(first + at);
      }
      this.#deps.onDone();
    }
  }

  /** Something may be deliverable now: a message came, or a consumer has room. */
  wake(): void {
    this.#delivery.wake();
  }

  /** Ends every stream and waiting pull. */
  fail(error: Error): void {
    this.#delivery.fail(error);
  }

  acknowledge(ids: readonly AckId[]): AckOutcome[] {
    this.touch();
    const outcomes = ids.map((id) => this.#acknowledge(id));
    this.#settled();
    return outcomes;
  }

  #acknowledge(id: AckId): AckOutcome {
    const lease = this.#leaseOf(id);
    if (!lease) return this.#acknowledgeEarlier(id) || this.#takeRefusedAck(id) ? 'ok' : 'invalid';
    const queue = this.leases.queueOf(lease);
    if (!queue) {
      this.#finish(lease);
      return 'ok';
    }
    if (this.settings.isExactlyOnce && !queue.isFirst(lease)) return 'unordered';
    this.leases.release(lease);
    lease.isAcked = true;
    for (const acked of queue.takeAcked()) this.#finish(acked);
    // Its consumer has room again, for what was held for it.
    if (queue.next) this.#delivery.redeliver(queue.next);
    return 'ok';
  }

  /** An id from before a restart: its message counts as acked unless it was delivered again. */
  #acknowledgeEarlier({ epoch, sequence }: AckId): boolean {
    const epochs = this.#deps.epochs();
    const isEarlier = epoch < epochs.current && epochs.has(epoch);
    if (!isEarlier || epoch < this.#seekEpoch || this.leases.get(sequence)) return false;
    if (sequence > this.topic.visible) return false;
    return this.settings.isOrdered ? this.#acknowledgeLate(sequence) : this.#finishSequence(sequence);
  }

  /**
   * With ordering an ack counts once all earlier ones of its key do, and only the message itself says which key it has.
   * So an ack counts at once when all earlier messages are done, or else when its message is read to be delivered.
   */
  #acknowledgeLate(sequence: number): boolean {
    const { done } = this.progress;
    if (done.has(sequence)) return false;
    if (sequence > done.through + 1) {
      // Under exactly-once delivery an ack that is confirmed has to last.
      if (this.settings.isExactlyOnce || this.#lateAcks.size >= bounds.lateAcks) return false;
      this.#lateAcks.add(sequence);
      return true;
    }
    let next = sequence;
    do {
      this.#finishSequence(next);
      next = done.through + 1;
    } while (this.#lateAcks.delete(next));
    return true;
  }

  /** Its message is about to be delivered. @returns whether it need not be. */
  #takeLateAck(sequence: number, isFirstOfKey: boolean): boolean {
    if (!this.#lateAcks.delete(sequence) || !isFirstOfKey) return false;
    this.#finishSequence(sequence);
    this.#keepAcks();
    return true;
  }

  /**
   * The disk was full for the acks of these ids, which count all the same. Each may come once more, to be confirmed with
   * the commit that writes it; of too many the earliest are forgotten.
   */
  ackRefused(ids: readonly AckId[]): void {
    const acks = this.#refusedAcks;
    for (const id of ids) acks.set(id.sequence, id);
    for (const sequence of acks.keys()) {
      if (acks.size <= bounds.refusedAcks) break;
      acks.delete(sequence);
    }
  }

  #takeRefusedAck({ epoch, sequence, generation }: AckId): boolean {
    const refused = this.#refusedAcks.get(sequence);
    if (refused?.epoch !== epoch || refused.generation !== generation) return false;
    return this.#refusedAcks.delete(sequence);
  }

  /** `deadlineMs` 0 is a nack: to be delivered again, at once or after the retry policy's backoff. */
  modifyDeadlines(ids: readonly AckId[], deadlineMs: (position: number) => number): AckOutcome[] {
    this.touch();
    const now = this.#deps.clock.elapsed();
    const outcomes = ids.map((id, position): AckOutcome => {
      const lease = this.#leaseOf(id);
      if (!lease || lease.isAcked) return 'invalid';
      const extensionMs = deadlineMs(position);
      if (extensionMs > 0) this.leases.extend(lease, now + extensionMs);
      else if (lease.state === 'leased') this.#nack(lease);
      return 'ok';
    });
    this.#settled();
    return outcomes;
  }

  #nack(lease: Lease): void {
    // Without a consumer there is none that could be about to go.
    this.#redeliver(lease, this.consumerCount > 0 ? nackHoldMs : 0);
    lease.generation = 0;
    lease.consumer = undefined;
  }

  /** The lease that an ack id means; undefined when it was acked, or replaced by a later delivery. */
  #leaseOf(id: AckId): Lease | undefined {
    if (id.epoch !== this.#deps.epochs().current) return undefined;
    const lease = this.leases.get(id.sequence);
    return lease && lease.generation === id.generation && lease.state !== 'held' ? lease : undefined;
  }

  onDue(lease: Lease): void {
    if (lease.state === 'leased' && lease.isForsaken) this.#giveBack(lease);
    else if (lease.state === 'leased') this.#redeliver(lease);
    else if (lease.state === 'waiting') this.#delivery.redeliver(lease);
    this.#settled();
  }

  /** Nobody has read it: that was no attempt, and there is no backoff. */
  #giveBack(lease: Lease): void {
    this.leases.release(lease);
    const queue = this.leases.queueOf(lease);
    if (queue) this.#takeBack(queue, lease);
    lease.attempts--;
    this.#delivery.noteAttempts(lease);
    this.#delivery.redeliver(lease);
  }

  #redeliver(lease: Lease, holdMs = 0): void {
    this.leases.release(lease);
    const queue = this.leases.queueOf(lease);
    if (queue) this.#takeBack(queue, lease);
    const { deadLetterPolicy } = this.settings;
    if (deadLetterPolicy && lease.attempts >= deadLetterPolicy.attemptsMax) {
      this.leases.move(lease, 'forwarding');
      this.#deps.forwarding.add(lease);
    } else this.#deliverAgain(lease, holdMs);
  }

  /** After `holdMs`, or the retry policy's backoff when that is longer. */
  #deliverAgain(lease: Lease, holdMs = 0): void {
    const waitMs = Math.max(backoffMs(this.settings.retryPolicy, lease.attempts), holdMs);
    if (waitMs === 0) this.#delivery.redeliver(lease);
    else {
      this.leases.move(lease, 'waiting');
      this.#deps.deadlines.set(lease, this.#deps.clock.elapsed() + waitMs);
    }
  }

  /** Those that follow it in its key, and were handed out, come after it again. */
  #takeBack(queue: KeyQueue, lease: Lease): void {
    for (const follower of queue.takeBack(lease)) {
      this.leases.release(follower);
      this.leases.move(follower, 'held');
      follower.consumer = undefined;
      follower.generation = 0;
      follower.isAcked = false;
      follower.attempts--;
      this.#delivery.noteAttempts(follower);
    }
    lease.generation = 0;
    lease.consumer = undefined;
  }

  async forward(lease: Lease): Promise<void> {
    const isForwarded = await this.#deps.forward(this, lease).catch(() => false);
    if (lease.state !== 'forwarding') return;
    if (isForwarded) this.#finish(lease);
    else this.#deliverAgain(lease);
    this.#settled();
  }

  /** A message in memory turned out not to be on disk any more, or is older than the retention. */
  drop(lease: Lease): void {
    this.#finish(lease);
    this.#settled();
  }

  /** Done with a message that is in memory. */
  #finish(lease: Lease): void {
    const next = this.leases.remove(lease);
    if (next) this.#delivery.redeliver(next);
    this.#finishSequence(lease.sequence);
  }

  #finishSequence(sequence: number): boolean {
    this.leases.forgetEarlierAttempts(sequence);
    return this.progress.finish(sequence);
  }

  #settled(): void {
    this.#keepAcks();
    this.#giveUp();
    this.wake();
  }

  /**
   * What it has in memory is backlog again when nobody takes from it, nothing of it is outstanding, and the broker has
   * much in memory: the place is for those that deliver. An ack that is late even then does not count.
   */
  #giveUp(): void {
    if (this.consumerCount > 0 || !this.leases.areResting) return;
    if (this.#deps.leaseRoom.has(bounds.leasesPerBroker - bounds.leasesPerBrokerAtRest)) return;
    this.leases.giveUp();
    this.#delivery.restart();
    this.progress.reset(this.progress.done);
  }

  #keepAcks(): void {
    const finished = this.progress.takeFinished();
    if (finished.length === 0) return;
    this.#deps.store().appendAcks(this.number, finished);
    this.#deps.onDone();
  }

  /** Acks of the log, when a start replays it. */
  restoreAcks(ranges: readonly [first: number, last: number][]): void {
    for (const [first, last] of ranges) {
      this.progress.done.addRange(first, last);
      for (let sequence = first; sequence <= last; sequence++) this.leases.forgetEarlierAttempts(sequence);
    }
  }

  /** Attempts of the log. They are written after the delivery, and an ack of it may be before them. */
  restoreAttempts(attempts: readonly [sequence: number, attempts: number][]): void {
    for (const [sequence, count] of attempts) {
      if (!this.progress.done.has(sequence)) this.leases.setEarlierAttempts(sequence, count);
    }
  }

  /** Starts over with what is done: after a seek, or at its end. Everything outstanding is nobody's any more. */
  reset(done: SequenceSet, seekEpoch: number, retained?: Retained): void {
    this.touch();
    this.leases.clear();
    this.#refusedAcks.clear();
    this.#lateAcks.clear();
    this.#delivery.restart();
    this.progress.reset(done);
    this.#seekEpoch = seekEpoch;
    this.#retained = retained;
    this.wake();
  }

  state(): SubscriptionState {
    const { number, settings, topic, start } = this;
    return {
      number,
      settings,
      topic: topic.number,
      start,
      seekEpoch: this.#seekEpoch,
      retained: this.#retained,
      done: this.progress.done.state(),
      attempts: settings.deadLetterPolicy ? this.leases.attempts() : [],
    };
  }
}
