/**
 * What time does: messages past their retention, subscriptions and snapshots past their expiration, and the space of
 * what nobody needs.
 *
 * It runs a second after an ack, a change or a full segment, by any of which space may be free, and after the first
 * message that can come of age where the last run saw none; and when the next of what it saw is due. With nothing to
 * come there is no timer.
 */
import type { Store } from '../store.ts';
import type { Clock } from './clock.ts';
import { createNeed } from './need.ts';
import type { Change, Registry } from './registry.ts';
import type { Subscription } from './subscription.ts';
import type { Topic } from './topic.ts';

/** Acks that come in one go are looked at together. */
const settleMs = 1_000;
/** Nothing here is more exact than that; it keeps a busy minute of expirations from being 1,000 runs. */
const stepMsMin = 1_000;
/** What was due and is still there waits for something else, such as the end of a lease or of a segment. */
const overdueStepMs = 60_000;

export class Housekeeping {
  #store: Store;
  #registry: Registry;
  #clock: Clock;
  #change: (change: Change) => void;
  #onFailure: (error: Error) => void;
  #cancel: (() => void) | undefined;
  #wakeAt = Number.POSITIVE_INFINITY;
  #running: Promise<void> | undefined;
  #isClosed = false;
  /** Since the last run began a segment was filled. */
  #isRolled = false;
  /** Topics of which the last run saw no message that comes of age, for one subscription at least. */
  #unseen = new Set<Topic>();
  /** The publish times that were looked up last: most subscriptions are where they were. */
  #oldest = new WeakMap<Subscription, { sequence: number; timeMs: number }>();

  constructor(deps: {
    store: Store;
    registry: Registry;
    clock: Clock;
    change: (change: Change) => void;
    onFailure: (error: Error) => void;
  }) {
    this.#store = deps.store;
    this.#registry = deps.registry;
    this.#clock = deps.clock;
    this.#change = deps.change;
    this.#onFailure = deps.onFailure;
  }

  /** Something was acked, deleted or changed. */
  wake(): void {
    this.#wakeBy(this.#clock.now() + settleMs);
  }

  /** A segment was filled: without any ack nobody may need what it holds, or those before it. */
  onRoll(): void {
    this.#isRolled = true;
    this.wake();
  }

  /** A message of `topic` came. */
  onPublish(topic: Topic): void {
    if (this.#unseen.delete(topic)) this.wake();
  }

  /** Deletes at once, for a publish without room, what segments hold that were filled since the last run. */
  async makeRoom(): Promise<void> {
    while (this.#running) await this.#running;
    if (this.#isRolled) await this.run();
  }

  /** Resolves when it touches the store no more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#sleep();
    await this.#running;
  }

  #wakeBy(at: number): void {
    if (this.#isClosed || at >= this.#wakeAt || at === Number.POSITIVE_INFINITY) return;
    this.#sleep();
    this.#wakeAt = at;
    this.#cancel = this.#clock.wakeIn(Math.max(0, at - this.#clock.now()), () => void this.run());
  }

  #sleep(): void {
    this.#cancel?.();
    this.#wakeAt = Number.POSITIVE_INFINITY;
  }

  async run(): Promise<void> {
    while (this.#running) await this.#running;
    if (this.#isClosed) return;
    this.#running = this.#run();
    await this.#running;
    this.#running = undefined;
  }

  async #run(): Promise<void> {
    const begin = this.#clock.now();
    this.#sleep();
    this.#isRolled = false;
    // What fails is tried again.
    let due = begin + overdueStepMs;
    try {
      this.#expire();
      for (const subscription of this.#registry.subscriptions.values()) await this.#dropOld(subscription);
      const now = this.#clock.now();
      const reclaimDue = await this.#store.reclaim(createNeed(this.#registry, now), now);
      due = Math.min(this.#nextDue(begin), reclaimDue);
    } catch (error) {
      this.#onFailure(error as Error);
    }
    this.#wakeBy(Math.max(due, this.#clock.now() + stepMsMin));
  }

  #expire(): void {
    const now = this.#clock.now();
    for (const { number, settings, lastActiveMs, consumerCount } of this.#registry.subscriptions.values()) {
      const { expirationMs } = settings;
      if (expirationMs === undefined || consumerCount > 0 || lastActiveMs + expirationMs > now) continue;
      this.#change({ type: 'subscription-deleted', number });
    }
    for (const { settings } of this.#registry.snapshots.values()) {
      if (settings.expireTimeMs <= now) this.#change({ type: 'snapshot-deleted', name: settings.name });
    }
  }

  /** What is older than the retention counts as done. */
  async #dropOld(subscription: Subscription): Promise<void> {
    const { topic } = subscription;
    const since = this.#clock.now() - subscription.retentionMs;
    const oldest = this.oldestUnackedMs(subscription);
    if (oldest === undefined || oldest >= since) return;
    const first = (await this.#store.firstSince(topic.number, since)) ?? topic.visible + 1;
    const { progress, leases, retainedThrough } = subscription;
    for (const lease of leases.values()) {
      const isOld = lease.sequence > retainedThrough && lease.sequence < first;
      if (isOld && lease.state !== 'leased') subscription.drop(lease);
    }
    // What followed them in their ordering keys may be delivered now.
    subscription.wake();
    const after = Math.max(progress.done.through, retainedThrough);
    progress.done.addRange(after + 1, firstLeasedBefore(first, subscription) - 1);
    leases.forgetAttemptsOf(progress.done);
  }

  /** The publish time of the oldest message that is not done. */
  oldestUnackedMs(subscription: Subscription): number | undefined {
    if (subscription.unackedCount === 0) return undefined;
    const sequence = subscription.progress.done.through + 1;
    const known = this.#oldest.get(subscription);
    if (known?.sequence === sequence) return known.timeMs;
    const timeMs = this.#store.timeOf(subscription.topic.number, sequence);
    if (timeMs !== undefined) this.#oldest.set(subscription, { sequence, timeMs });
    return timeMs;
  }

  /** When the next thing is due after a run that began at `begin`. */
  #nextDue(begin: number): number {
    let due = Number.POSITIVE_INFINITY;
    this.#unseen.clear();
    const add = (ms: number) => {
      due = Math.min(due, ms < begin ? begin + overdueStepMs : ms);
    };
    for (const subscription of this.#registry.subscriptions.values()) {
      const { settings, lastActiveMs, consumerCount, topic, retentionMs } = subscription;
      const { expirationMs, retainsAcked, isDetached } = settings;
      // Whoever consumes it may leave it at once.
      if (expirationMs !== undefined) add((consumerCount > 0 ? begin : lastActiveMs) + expirationMs);
      const oldest = retainsAcked ? this.#store.timeOf(topic.number, 0) : this.oldestUnackedMs(subscription);
      if (oldest !== undefined) add(oldest + retentionMs);
      else if (!isDetached) this.#unseen.add(topic);
    }
    for (const { settings } of this.#registry.snapshots.values()) add(settings.expireTimeMs);
    for (const topic of this.#registry.topics.values()) {
      const { retentionMs } = topic.settings;
      if (retentionMs === undefined) continue;
      const oldest = this.#store.timeOf(topic.number, 0);
      if (oldest !== undefined) add(oldest + retentionMs);
      else this.#unseen.add(topic);
    }
    return due;
  }
}

/** The first message of those that are handed out, or `end` when none is before it. */
function firstLeasedBefore(end: number, { leases }: Subscription): number {
  let first = end;
  for (const { sequence } of leases.values()) first = Math.min(first, sequence);
  return first;
}
