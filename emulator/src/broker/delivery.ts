/**
 * Hands a subscription's messages to its consumers: what is to be delivered again and the backlog in turns, a message of
 * each, so that messages which nobody can settle, and which come back at once, do not keep the rest from being delivered.
 *
 * It runs while there is something to deliver and somebody who wants it, reads the log a window at a time, and stops
 * otherwise: nothing polls. Every change that could make it go on calls `wake()`. Reads are the only waits; after
 * each, everything is looked at anew, because a seek may have come between.
 *
 * What is to be delivered again and finds no consumer with room for it keeps the backlog back too, for all of them: it
 * goes to whoever has room first. Smaller messages would take every byte that gets free, and it would never come.
 */
import type { MessageWindow, Store } from '../store.ts';
import type { Clock } from './clock.ts';
import type { Consumer } from './consumer.ts';
import { Refusal } from './errors.ts';
import type { Filter } from './filter.ts';
import type { Lease } from './lease.ts';
import type { Leases } from './leases.ts';
import { readAttributes, readOrderingKey } from './message.ts';
import type { Progress } from './progress.ts';
import { ReadyHeap } from './ready-heap.ts';
import type { SubscriptionSettings } from './settings.ts';
import type { Topic } from './topic.ts';
import { Turns } from './turns.ts';
import { positionIn, Windows } from './windows.ts';

export interface DeliveryDeps {
  /** Not there before the log was replayed. */
  store: () => Store;
  number: number;
  topic: Topic;
  settings: () => SubscriptionSettings;
  clock: Clock;
  nextGeneration: () => number;
  leases: Leases;
  progress: Progress;
  /** Undefined: all pass. */
  filter: Filter | undefined;
  /** Whether a message is older than the retention. */
  isTooOld: (sequence: number, timeMs: number) => boolean;
  /** Told of a message in memory that is not on disk any more, or is older than the retention. */
  drop: (lease: Lease) => void;
  /** With ordering: whether a message was acked before a restart, and so is done when it is the first of its key. */
  takeLateAck: (sequence: number, isFirstOfKey: boolean) => boolean;
}

export class Delivery {
  readonly turns = new Turns();
  #deps: DeliveryDeps;
  #windows: Windows;
  #ready = new ReadyHeap();
  #attempts: [sequence: number, attempts: number][] = [];
  /** Consumers that took something since the last flush. */
  #touched = new Set<Consumer>();
  /** A message was delivered again: the next is of the backlog. */
  #isBacklogsTurn = false;
  #isRunning = false;
  #isWoken = false;
  /** Up to here it delivers. */
  #through = 0;

  constructor(deps: DeliveryDeps) {
    this.#deps = deps;
    this.#windows = new Windows((sequence, before) => deps.store().read(deps.topic.number, sequence, before));
  }

  /** It may have come after an answer, and so gets all that is there. */
  addConsumer(consumer: Consumer): void {
    this.turns.add(consumer);
    this.#through = this.#deps.topic.visible;
    this.wake();
  }

  removeConsumer(consumer: Consumer): void {
    this.turns.remove(consumer);
    this.#touched.delete(consumer);
  }

  redeliver(lease: Lease): void {
    this.#deps.leases.move(lease, 'ready');
    this.#ready.push(lease);
  }

  /** Writes down how often it was delivered, with the end of this run or, without a consumer, of this turn. */
  noteAttempts({ sequence, attempts }: Lease): void {
    if (this.#deps.settings().deadLetterPolicy) this.#attempts.push([sequence, attempts]);
  }

  fail(error: Error): void {
    for (const consumer of this.turns.all()) consumer.fail(error);
  }

  restart(): void {
    this.#ready = new ReadyHeap();
    this.#windows.release();
  }

  wake(): void {
    this.#through = Math.max(this.#through, this.#deps.topic.answered);
    this.#isWoken = true;
    if (this.#isRunning) return;
    if (this.turns.count === 0) this.#keepAttempts();
    else void this.#deliverAll();
  }

  async #deliverAll(): Promise<void> {
    this.#isRunning = true;
    try {
      while (this.#isWoken) {
        this.#isWoken = false;
        while (await this.#deliverSome()) {
          // until neither has anything that a consumer wants
        }
        this.#flush();
      }
    } catch (error) {
      this.fail(new Refusal('DATA_LOSS', (error as Error).message, { cause: error }));
    } finally {
      this.#windows.release();
      this.#isRunning = false;
    }
  }

  /** @returns whether to go on. */
  async #deliverSome(): Promise<boolean> {
    if (this.#isBacklogsTurn && this.#hasRoomForReady() && (await this.#deliverBacklog())) return true;
    this.#isBacklogsTurn = false;
    if (await this.#deliverReady()) return true;
    // It waits for room, and goes first.
    return !this.#ready.first && this.#deliverBacklog();
  }

  /** Not while the first of what is to be delivered again waits for room that the backlog would take. */
  #hasRoomForReady(): boolean {
    const { first } = this.#ready;
    return !first || this.turns.next(first.bytes) !== undefined;
  }

  /** @returns whether to go on. If not, nothing is ready, or nobody has room for the first. */
  async #deliverReady(): Promise<boolean> {
    for (let lease = this.#ready.first; lease; lease = this.#ready.first) {
      if (lease.state !== 'ready') {
        this.#ready.pop();
        continue;
      }
      const owner = this.#deps.leases.queueOf(lease)?.owner;
      const consumer = this.#consumerFor(lease.bytes, owner);
      if (!consumer) {
        if (!owner) return false;
        // Its key is with a consumer that is full: it follows when one of the key is acked.
        this.#ready.pop();
        this.#deps.leases.move(lease, 'held');
        continue;
      }
      const window = this.#windows.replayAt(lease.sequence);
      if (!window) {
        if ((await this.#windows.readReplay(lease.sequence)) === false) this.#deps.drop(lease);
        return true;
      }
      this.#ready.pop();
      this.#deliverAgain(lease, consumer, window);
      if (this.#isBacklogsTurn) return true;
    }
    return false;
  }

  /** `owner`, who has the rest of the key, or else the next in turn. */
  #consumerFor(bytes: number, owner: Consumer | undefined): Consumer | undefined {
    if (!owner) return this.turns.next(bytes);
    return mayFollow(owner, bytes) ? owner : undefined;
  }

  #deliverAgain(lease: Lease, consumer: Consumer, window: MessageWindow): void {
    const at = positionIn(window, lease.sequence);
    if (at < 0 || this.#deps.isTooOld(lease.sequence, window.times[at] ?? 0)) {
      this.#deps.drop(lease);
      return;
    }
    const queue = this.#deps.leases.queueOf(lease);
    if (queue && !queue.allows(lease)) {
      this.#deps.leases.move(lease, 'held');
      return;
    }
    this.#give(lease, consumer, window, at);
    this.#isBacklogsTurn = true;
    // Lets the next of the key follow.
    if (queue?.next) this.redeliver(queue.next);
  }

  /** @returns whether to go on. */
  async #deliverBacklog(): Promise<boolean> {
    const { progress, leases } = this.#deps;
    const windows = this.#windows;
    const cursor = progress.skipDone();
    if (cursor > this.#through || !this.turns.next(0) || !leases.hasRoomFor(this)) return false;
    const window = windows.backlogAt(cursor);
    if (!window) {
      await windows.readBacklog(cursor);
      return true;
    }
    for (; windows.position < window.length; windows.position++) {
      const sequence = window.sequences[windows.position] ?? 0;
      if (sequence > this.#through) break;
      if (sequence >= progress.cursor && !this.#deliverFirst(sequence, window)) return false;
      // Then what is to be delivered again has the turn.
      if (this.#ready.first && !this.#isBacklogsTurn) {
        windows.position++;
        return true;
      }
      if (!leases.hasRoomFor(this)) return false;
    }
    progress.passGap(Math.min(window.next, this.#through + 1));
    return true;
  }

  /** @returns false when nobody wants it now. */
  #deliverFirst(sequence: number, window: MessageWindow): boolean {
    const { progress, leases, isTooOld } = this.#deps;
    const at = this.#windows.position;
    progress.passGap(sequence);
    if (!progress.done.has(sequence)) {
      if (isTooOld(sequence, window.times[at] ?? 0) || !this.#passesFilter(window, at)) {
        progress.done.add(sequence);
        leases.forgetEarlierAttempts(sequence);
      } else if (!this.#deliverNew(sequence, window, at)) return false;
    }
    progress.cursor = sequence + 1;
    return true;
  }

  #deliverNew(sequence: number, window: MessageWindow, at: number): boolean {
    const { leases } = this.#deps;
    const start = window.starts[at] ?? 0;
    const end = window.ends[at] ?? 0;
    const key = this.#deps.settings().isOrdered ? readOrderingKey(window.buffer, start, end) : '';
    const queue = leases.queueOf({ key });
    const isFirstOfKey = !queue || queue.isEmpty;
    if (this.#deps.takeLateAck(sequence, isFirstOfKey)) return true;
    if (!isFirstOfKey) {
      const { owner } = queue;
      const isNext = owner && queue.allowsAdded && mayFollow(owner, end - start);
      const lease = leases.create(sequence, end - start, key);
      if (isNext) this.#give(lease, owner, window, at);
      return true;
    }
    const consumer = this.turns.next(end - start);
    if (!consumer) return false;
    this.#give(leases.create(sequence, end - start, key), consumer, window, at);
    return true;
  }

  #give(lease: Lease, consumer: Consumer, window: MessageWindow, at: number): void {
    const { leases, clock, nextGeneration } = this.#deps;
    this.#isBacklogsTurn = false;
    leases.handOut(lease, consumer, nextGeneration(), clock.elapsed() + consumer.ackDeadlineMs());
    this.noteAttempts(lease);
    this.#touched.add(consumer);
    consumer.take(lease, window.buffer, window.starts[at] ?? 0, window.ends[at] ?? 0);
    this.turns.took(consumer);
  }

  #passesFilter(window: MessageWindow, at: number): boolean {
    const { filter } = this.#deps;
    if (!filter) return true;
    return filter(readAttributes(window.buffer, window.starts[at] ?? 0, window.ends[at] ?? 0));
  }

  #keepAttempts(): void {
    if (this.#attempts.length === 0) return;
    this.#deps.store().appendAttempts(this.#deps.number, this.#attempts);
    this.#attempts = [];
  }

  #flush(): void {
    this.#keepAttempts();
    for (const consumer of this.turns.all()) {
      if (this.#touched.has(consumer)) consumer.flush();
      // Woken meanwhile, there may be something: that is looked for first.
      else if (!this.#isWoken) consumer.idle();
    }
    this.#touched.clear();
  }
}

/** Whether `owner`, who has those before it of its key, takes a message now. */
function mayFollow(owner: Consumer, bytes: number): boolean {
  return !owner.takesOnePerKey && owner.wants(bytes);
}
