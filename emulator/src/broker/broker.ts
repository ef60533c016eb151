/**
 * The broker: topics, subscriptions, snapshots and what is asked of them. It decides everything and knows no
 * protocol: the fronts translate requests into these calls and `Refusal`s into their statuses.
 *
 * A change is applied when it is asked for and answered when it is on disk; when a full disk refuses it, it is on disk
 * before anything later (store/log.ts). A publish is answered, and delivered, when it is on disk. On a crash nothing
 * that was answered is lost; what was not may or may not be there.
 */
import { StoreFull } from '../store/errors.ts';
import { type Durability, Store, type StoreOptions, type StoreTarget } from '../store.ts';
import { type Clock, systemClock } from './clock.ts';
import { deadLetter } from './dead-letter.ts';
import { Deadlines } from './deadlines.ts';
import { invalid, Refusal } from './errors.ts';
import { Forwarding } from './forwarding.ts';
import { Housekeeping } from './housekeeping.ts';
import type { Lease } from './lease.ts';
import { bounds, limits } from './limits.ts';
import { MessageIds, type NewMessage } from './message.ts';
import { appendPublish } from './publishing.ts';
import { type Change, Registry, type RegistryState } from './registry.ts';
import { Seek } from './seek.ts';
import { SharedRoom } from './shared-room.ts';
import { Snapshots } from './snapshots.ts';
import type { Subscription } from './subscription.ts';
import { Subscriptions } from './subscriptions.ts';
import type { Topic } from './topic.ts';
import { Topics } from './topics.ts';

export type { Durability };

export interface BrokerOptions extends StoreOptions {
  /** The only project served; undefined: any. */
  project?: string | undefined;
  clock?: Clock;
}

export class Broker {
  readonly topics: Topics;
  readonly subscriptions: Subscriptions;
  readonly snapshots: Snapshots;
  readonly seek: Seek;
  readonly registry: Registry;
  readonly #clock: Clock;
  readonly #deadlines: Deadlines<Lease>;
  readonly #forwarding = new Forwarding();
  #store!: Store;
  #housekeeping!: Housekeeping;
  #generation = 0;
  readonly #messageIds = new MessageIds(() => this.epoch);
  #listeners: ((change: Change) => void)[] = [];
  /** Of publishes that wait for the commit under way, and of those that come into the next. */
  #waitingBytes = 0;
  #admittedBytes = 0;

  private constructor(options: BrokerOptions) {
    this.#clock = options.clock ?? systemClock;
    this.#deadlines = new Deadlines(this.#clock, (leases) => {
      // The first of a key takes the others of it back, for which that is no attempt.
      leases.sort((a, b) => a.sequence - b.sequence);
      for (const lease of leases) lease.subscription.onDue(lease);
    });
    this.registry = new Registry({
      store: () => this.#store,
      clock: this.#clock,
      deadlines: this.#deadlines,
      epochs: () => this.registry.epochs,
      nextGeneration: () => ++this.#generation,
      leaseRoom: new SharedRoom(bounds.leasesPerBroker),
      forwarding: this.#forwarding,
      forward: (subscription, lease) => this.#forward(subscription, lease),
      onDone: () => this.#housekeeping.wake(),
    });
    const deps = {
      registry: this.registry,
      project: options.project,
      clock: this.#clock,
      commit: async (change: Change) => {
        this.#change(change);
        await this.#committed();
      },
    };
    this.topics = new Topics(deps);
    this.subscriptions = new Subscriptions(deps);
    const { subscriptions } = this;
    this.snapshots = new Snapshots({
      ...deps,
      subscriptions,
      oldestUnackedMs: (subscription) => this.#housekeeping.oldestUnackedMs(subscription),
    });
    this.seek = new Seek({
      ...deps,
      subscriptions,
      snapshots: this.snapshots,
      firstSince: (topic, time) => this.#store.firstSince(topic, time),
      firstKept: (topic) => this.#store.first(topic),
    });
  }

  /** @throws FolderInUse, DamagedFolder */
  static async open(options: BrokerOptions): Promise<Broker> {
    const broker = new Broker(options);
    const { registry } = broker;
    broker.#store = await Store.open(options, broker.#target());
    broker.#housekeeping = new Housekeeping({
      store: broker.#store,
      registry,
      clock: broker.#clock,
      change: (change) => broker.#change(change),
      onFailure: (error) => options.onWarning(`Housekeeping failed: ${error.message}`),
    });
    try {
      for (const topic of registry.topicsByNumber.values()) topic.settle();
      broker.#change({ type: 'start', epoch: registry.epochs.next() });
      await broker.#store.committed();
      broker.#housekeeping.wake();
      return broker;
    } catch (error) {
      // The folder is another's.
      await broker.close().catch(() => {});
      throw error;
    }
  }

  /**
   * Keeps messages, in order.
   * @returns their ids, once they are on disk.
   * @throws Refusal
   */
  async publish(topicName: string, messages: readonly NewMessage[]): Promise<string[]> {
    const topic = this.topics.get(topicName);
    if (messages.length === 0) throw invalid('No messages to publish');
    if (messages.length > limits.messagesPerPublish) throw invalid('Too many messages to publish');
    const firstId = await this.#append(topic, messages);
    return messages.map((_, position) => this.#messageIds.text(firstId + position));
  }

  /** @returns the number of the first one's id. @throws Refusal */
  async #append(topic: Topic, messages: readonly NewMessage[]): Promise<number> {
    let bytes = 0;
    for (const { start, end } of messages) bytes += end - start;
    await this.#waitForRoom(bytes);
    this.#admittedBytes -= bytes;
    try {
      if (!this.#store.hasRoom(bytes)) await this.#makeRoom(bytes);
      const deps = { store: this.#store, ids: this.#messageIds };
      const { first, firstId } = await appendPublish(deps, topic, messages, this.#clock.now());
      for (const subscription of topic.subscriptions) subscription.published(first, messages);
      afterAnswer(() => topic.deliver(first + messages.length - 1));
      this.#housekeeping.onPublish(topic);
      return firstId;
    } catch (error) {
      throw asRefusal(error);
    }
  }

  /** The folder is at its limit: what full segments hold that nobody needs gives way. @throws StoreFull */
  async #makeRoom(bytes: number): Promise<void> {
    await this.#waitForRoom(bytes, () => this.#housekeeping.makeRoom());
    this.#admittedBytes -= bytes;
    this.#store.checkRoom(bytes);
  }

  /**
   * While the disk is slower than the publishers, they wait here, and while `makeRoom` is under way; over a bound they
   * are refused.
   */
  async #waitForRoom(bytes: number, makeRoom?: () => Promise<void>): Promise<void> {
    if (this.#waitingBytes + bytes > bounds.waitingPublishBytes) {
      const why = `${this.#waitingBytes} bytes wait for the disk, and ${bytes} more are over the limit of ${bounds.waitingPublishBytes} bytes.`;
      throw new Refusal('RESOURCE_EXHAUSTED', `${why} Try again.`);
    }
    this.#waitingBytes += bytes;
    try {
      if (makeRoom) await makeRoom();
      while (!this.#fits(bytes)) await this.#store.written();
      this.#admittedBytes += bytes;
    } finally {
      this.#waitingBytes -= bytes;
    }
  }

  #fits(bytes: number): boolean {
    const before = this.#store.fillingBytes + this.#admittedBytes;
    return before === 0 || before + bytes <= bounds.commitBytes;
  }

  /** Resolves when the acks up to now are on disk. @throws Refusal */
  async acksCommitted(): Promise<void> {
    await this.#committed();
  }

  get epoch(): number {
    return this.registry.epochs.current;
  }

  /** The backlog of each subscription, for metrics. */
  backlog() {
    const now = this.#clock.now();
    return [...this.registry.subscriptions.values()].map((subscription) => {
      const oldestMs = this.#housekeeping.oldestUnackedMs(subscription);
      return {
        subscription: subscription.settings.name,
        unackedCount: subscription.unackedCount,
        outstandingCount: subscription.leases.outstandingCount,
        outstandingBytes: subscription.leases.outstandingBytes,
        inMemoryCount: subscription.leases.size,
        consumerCount: subscription.consumerCount,
        oldestUnackedSeconds: oldestMs === undefined ? 0 : Math.max(0, (now - oldestMs) / 1_000),
      };
    });
  }

  get storedBytes(): number {
    return this.#store.bytes;
  }

  /** Expires, drops and deletes now what is due, rather than when housekeeping comes to it. */
  sweep(): Promise<void> {
    return this.#housekeeping.run();
  }

  /**
   * Deletes everything, for tests. What waits or streams ends with UNAVAILABLE when `declare` is through, so that a
   * client that connects again finds what that has made.
   */
  async reset(declare: () => Promise<void>): Promise<void> {
    const { snapshots, subscriptions, topics } = this.registry;
    const ended = [...subscriptions.values()];
    for (const name of [...snapshots.keys()]) this.#change({ type: 'snapshot-deleted', name });
    for (const { number } of ended) this.#change({ type: 'subscription-deleted', number });
    for (const { number } of [...topics.values()]) this.#change({ type: 'topic-deleted', number });
    try {
      await this.#committed();
      await this.sweep();
      await declare();
    } finally {
      for (const one of ended) one.fail(new Refusal('UNAVAILABLE', 'The emulator was reset.'));
    }
  }

  /** Ends every stream and waiting pull with UNAVAILABLE. */
  endStreams(): void {
    for (const subscription of this.registry.subscriptions.values()) {
      subscription.fail(new Refusal('UNAVAILABLE', 'The emulator is shutting down.'));
    }
  }

  /** What was appended gets its answer; then the folder is another's. */
  async close(): Promise<void> {
    await this.#housekeeping.close();
    this.#deadlines.close();
    this.endStreams();
    await this.#forwarding.close();
    await this.#store.close();
  }

  /** Tells `listener` of every change from now on, when it is applied. */
  watch(listener: (change: Change) => void): void {
    this.#listeners.push(listener);
  }

  #change(change: Change): void {
    this.registry.apply(change);
    for (const listener of this.#listeners) listener(change);
    this.#store.appendChange(change);
    this.#housekeeping.wake();
  }

  async #committed(): Promise<void> {
    try {
      await this.#store.committed();
    } catch (error) {
      throw asRefusal(error);
    }
  }

  /** To the dead-letter topic, and only then done in the source: a crash in between leaves it in both. */
  async #forward(subscription: Subscription, { sequence, attempts }: Lease): Promise<boolean> {
    const { deadLetterPolicy, name } = subscription.settings;
    const topic = this.registry.topics.get(deadLetterPolicy?.topic ?? '');
    if (!topic) return false;
    const window = await this.#store.read(subscription.topic.number, sequence);
    let copy: NewMessage;
    try {
      if (window.sequences[0] !== sequence) return true;
      const message = { buffer: window.buffer, start: window.starts[0] ?? 0, end: window.ends[0] ?? 0 };
      copy = deadLetter(message, { subscription: name, attempts });
    } finally {
      // Before the commit, for which other windows need not wait.
      window.release();
    }
    await this.#append(topic, [copy]);
    return true;
  }

  #target(): StoreTarget {
    const { registry } = this;
    return {
      restore: (state) => registry.restore(state as RegistryState),
      onMessages({ topic: number, first, count, time }) {
        const topic = registry.topicsByNumber.get(number);
        if (!topic) return;
        if (first > topic.next) {
          for (const { progress } of topic.subscriptions) progress.done.addRange(topic.next, first - 1);
        }
        topic.next = Math.max(topic.next, first + count);
        topic.lastTime = Math.max(topic.lastTime, time);
      },
      onChange: (change) => registry.apply(change as Change),
      onAcks(number, ranges) {
        registry.subscriptionsByNumber.get(number)?.restoreAcks(ranges);
      },
      onAttempts(number, attempts) {
        registry.subscriptionsByNumber.get(number)?.restoreAttempts(attempts);
      },
      state: () => registry.state(),
      onRoll: () => this.#housekeeping.onRoll(),
    };
  }
}

/** What Google's Node client takes to hand an answer to its caller. Its streams are on another connection. */
const answerMs = 1;

/**
 * Calls `deliver` when the answer that is given in this turn has reached its caller. node:http2 writes headers and message
 * at the end of this turn, and the trailers, without which no client knows of the answer, at the end of the next.
 * Of 60 publishes by the Node client so many saw their message first: 50 to 60 without a wait, 1 to 6 two turns later, 0 or
 * 1 with the millisecond.
 */
function afterAnswer(deliver: () => void): void {
  setImmediate(() => setImmediate(() => setTimeout(deliver, answerMs)));
}

function asRefusal(error: unknown): unknown {
  if (error instanceof Refusal) return error;
  if (error instanceof StoreFull) {
    return new Refusal('RESOURCE_EXHAUSTED', error.message, { cause: error });
  }
  return new Refusal('UNAVAILABLE', `The store failed: ${(error as Error).message}`, { cause: error });
}
