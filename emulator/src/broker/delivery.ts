/**
 * Hands a subscription's messages to its consumers: first what is to be delivered again, then the backlog, in turns
 * of `turnCount` messages so that several streams share.
 *
 * It runs while there is something to deliver and somebody who wants it, reads the log a window at a time (one for
 * the backlog, one for redeliveries), and stops otherwise: nothing polls. Every change that could make it go on calls
 * `wake()`. Reads are the only waits; after each, everything is looked at anew, because a seek may have come between.
 */
import type { MessageWindow } from '../store.ts';
import type { Consumer } from './consumer.ts';
import { Refusal } from './errors.ts';
import type { Lease } from './lease.ts';
import { readAttributes, readOrderingKey } from './message.ts';
import { ReadyHeap } from './ready-heap.ts';
import type { Subscription } from './subscription.ts';

/** Messages that one consumer gets in a row. */
const turnCount = 50;

export class Delivery {
  #subscription: Subscription;
  #consumers: Consumer[] = [];
  #turn = 0;
  #taken = 0;
  #ready = new ReadyHeap();
  #backlog: MessageWindow | undefined;
  #backlogFrom = 0;
  #position = 0;
  #replay: MessageWindow | undefined;
  #attempts: [number, number][] = [];
  #touched = new Set<Consumer>();
  #isRunning = false;
  #isWoken = false;
  /** Counts restarts: what was read before one is not delivered after it. */
  #run = 0;

  constructor(subscription: Subscription) {
    this.#subscription = subscription;
  }

  get consumerCount(): number {
    return this.#consumers.length;
  }

  addConsumer(consumer: Consumer): void {
    this.#consumers.push(consumer);
    this.wake();
  }

  removeConsumer(consumer: Consumer): void {
    const at = this.#consumers.indexOf(consumer);
    if (at >= 0) this.#consumers.splice(at, 1);
    this.#touched.delete(consumer);
  }

  redeliver(lease: Lease): void {
    this.#ready.push(lease);
  }

  fail(error: Error): void {
    for (const consumer of [...this.#consumers]) consumer.fail(error);
  }

  restart(): void {
    this.#run++;
    this.#ready = new ReadyHeap();
    this.#releaseWindows();
  }

  wake(): void {
    this.#isWoken = true;
    if (this.#isRunning || this.#consumers.length === 0) return;
    void this.#deliverAll();
  }

  async #deliverAll(): Promise<void> {
    this.#isRunning = true;
    try {
      while (this.#isWoken) {
        this.#isWoken = false;
        while ((await this.#deliverReady()) || (await this.#deliverBacklog())) {
          // until neither has anything that a consumer wants
        }
        this.#flush();
      }
    } catch (error) {
      this.fail(new Refusal('DATA_LOSS', (error as Error).message, { cause: error }));
    } finally {
      this.#releaseWindows();
      this.#isRunning = false;
    }
  }

  /** @returns whether to go on. */
  async #deliverReady(): Promise<boolean> {
    for (let lease = this.#ready.first; lease; lease = this.#ready.first) {
      if (lease.state !== 'ready') {
        this.#ready.pop();
        continue;
      }
      const consumer = this.#consumerFor(lease);
      if (!consumer) {
        if (!lease.queue?.owner) return false;
        // Its key is with a consumer that is full: it follows when one of the key is acked.
        this.#ready.pop();
        lease.state = 'held';
        continue;
      }
      const window = this.#replay;
      const isCovered =
        window && (window.sequences[0] ?? Infinity) <= lease.sequence && lease.sequence < window.next;
      if (!isCovered) {
        await this.#readReplay(lease.sequence);
        return true;
      }
      this.#ready.pop();
      this.#deliverAgain(lease, consumer, window);
    }
    return false;
  }

  #consumerFor({ queue, bytes }: Lease): Consumer | undefined {
    const owner = queue?.owner;
    if (!owner) return this.#nextConsumer(bytes);
    return owner.wants(bytes) ? owner : undefined;
  }

  #deliverAgain(lease: Lease, consumer: Consumer, window: MessageWindow): void {
    const at = positionOf(window.sequences, lease.sequence);
    if (at < 0 || this.#isTooOld(window.times[at] ?? 0)) {
      this.#subscription.drop(lease);
      return;
    }
    if (lease.queue && !lease.queue.allows(lease, consumer)) {
      lease.state = 'held';
      return;
    }
    this.#give(lease, consumer, window, at);
    this.#subscription.follow(lease);
  }

  /** @returns whether to go on. */
  async #deliverBacklog(): Promise<boolean> {
    const subscription = this.#subscription;
    subscription.cursor = subscription.done.nextMissing(subscription.cursor);
    const { cursor, topic } = subscription;
    if (cursor > topic.visible || !subscription.hasRoom || !this.#nextConsumer(0)) return false;
    const window = this.#backlog;
    if (!window || cursor < this.#backlogFrom || cursor >= window.next) {
      await this.#readBacklog(cursor);
      return true;
    }
    for (; this.#position < window.length; this.#position++) {
      const sequence = window.sequences[this.#position] ?? 0;
      if (sequence > topic.visible) break;
      if (sequence >= subscription.cursor && !this.#deliverFirst(sequence, window)) return false;
      if (!subscription.hasRoom) return false;
    }
    const end = Math.min(window.next, topic.visible + 1);
    this.#passGap(end);
    return true;
  }

  /** @returns false when nobody wants it now. */
  #deliverFirst(sequence: number, window: MessageWindow): boolean {
    const subscription = this.#subscription;
    const at = this.#position;
    this.#passGap(sequence);
    const start = window.starts[at] ?? 0;
    const end = window.ends[at] ?? 0;
    if (!subscription.done.has(sequence)) {
      if (this.#isTooOld(window.times[at] ?? 0) || !this.#passesFilter(window, start, end)) {
        subscription.done.add(sequence);
      } else if (!this.#deliverNew(sequence, window, at)) return false;
    }
    subscription.cursor = sequence + 1;
    return true;
  }

  #deliverNew(sequence: number, window: MessageWindow, at: number): boolean {
    const subscription = this.#subscription;
    const start = window.starts[at] ?? 0;
    const end = window.ends[at] ?? 0;
    const key = subscription.settings.isOrdered ? readOrderingKey(window.buffer, start, end) : '';
    const queue = key === '' ? undefined : subscription.keys.get(key);
    if (queue && !queue.isEmpty) {
      const { owner } = queue;
      if (!owner || !queue.allowsAdded(owner) || !owner.wants(end - start)) {
        subscription.createLease(sequence, end - start, key);
        return true;
      }
      this.#give(subscription.createLease(sequence, end - start, key), owner, window, at);
      return true;
    }
    const consumer = this.#nextConsumer(end - start);
    if (!consumer) return false;
    this.#give(subscription.createLease(sequence, end - start, key), consumer, window, at);
    return true;
  }

  #give(lease: Lease, consumer: Consumer, window: MessageWindow, at: number): void {
    this.#subscription.lease(lease, consumer);
    if (this.#subscription.settings.deadLetterPolicy) this.#attempts.push([lease.sequence, lease.attempts]);
    this.#touched.add(consumer);
    consumer.take(lease, window.buffer, window.starts[at] ?? 0, window.ends[at] ?? 0);
    if (++this.#taken >= turnCount) {
      this.#taken = 0;
      this.#turn++;
    }
  }

  /** The next in turn that wants a message of that size. */
  #nextConsumer(bytes: number): Consumer | undefined {
    const count = this.#consumers.length;
    for (let offset = 0; offset < count; offset++) {
      const consumer = this.#consumers[(this.#turn + offset) % count];
      if (!consumer?.wants(bytes)) continue;
      if (offset > 0) {
        this.#turn += offset;
        this.#taken = 0;
      }
      return consumer;
    }
    return undefined;
  }

  /** Numbers that no message has: their commit was refused, or they were deleted. */
  #passGap(end: number): void {
    const subscription = this.#subscription;
    if (end <= subscription.cursor) return;
    subscription.done.addRange(subscription.cursor, end - 1);
    subscription.cursor = end;
  }

  #isTooOld(timeMs: number): boolean {
    const { settings, deps } = this.#subscription;
    return timeMs < deps.clock.now() - settings.retentionMs;
  }

  #passesFilter(window: MessageWindow, start: number, end: number): boolean {
    const { filter } = this.#subscription;
    return !filter || filter(readAttributes(window.buffer, start, end));
  }

  async #readBacklog(from: number): Promise<void> {
    const run = this.#run;
    const before = this.#backlog;
    const { deps, topic } = this.#subscription;
    const window = await deps.store.read(topic.number, from, before);
    if (run !== this.#run) {
      window.release();
      return;
    }
    before?.release();
    this.#backlog = window;
    this.#backlogFrom = from;
    this.#position = 0;
  }

  async #readReplay(sequence: number): Promise<void> {
    const run = this.#run;
    const { deps, topic } = this.#subscription;
    const window = await deps.store.read(topic.number, sequence);
    if (run !== this.#run) {
      window.release();
      return;
    }
    this.#replay?.release();
    this.#replay = window;
    if (window.sequences[0] === sequence) return;
    const lease = this.#subscription.leases.get(sequence);
    if (lease) this.#subscription.drop(lease);
  }

  #flush(): void {
    if (this.#attempts.length > 0) {
      this.#subscription.deps.store.appendAttempts(this.#subscription.number, this.#attempts);
      this.#attempts = [];
    }
    for (const consumer of [...this.#consumers]) {
      if (this.#touched.has(consumer)) consumer.flush();
      else consumer.idle();
    }
    this.#touched.clear();
  }

  #releaseWindows(): void {
    this.#backlog?.release();
    this.#replay?.release();
    this.#backlog = undefined;
    this.#replay = undefined;
  }
}

/** Where `wanted` is in ascending `values`, or -1. */
function positionOf(values: readonly number[], wanted: number): number {
  let low = 0;
  let high = values.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const value = values[middle] ?? 0;
    if (value === wanted) return middle;
    if (value < wanted) low = middle + 1;
    else high = middle - 1;
  }
  return -1;
}
