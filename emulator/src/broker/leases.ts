/**
 * The messages that one subscription has in memory, by sequence number and by ordering key, and what of them is
 * outstanding. Bounded for each subscription and for the broker: when there is no room nothing more is handed out
 * until a place is given back, by what is done (acked, dead-lettered, too old) or by a subscription that gives up.
 *
 * All of it is gone after a crash, but for the delivery attempts, which a dead-letter policy counts from the log.
 */
import type { Consumer } from './consumer.ts';
import type { Deadlines } from './deadlines.ts';
import { Lease, type LeaseOwner, type LeaseState } from './lease.ts';
import { bounds } from './limits.ts';
import { KeyQueue } from './ordering.ts';
import type { SharedRoom, Waiter } from './shared-room.ts';

export class Leases {
  outstandingCount = 0;
  outstandingBytes = 0;
  #owner: LeaseOwner;
  #deadlines: Deadlines<Lease>;
  /** For the leases of all subscriptions together. */
  #brokerRoom: SharedRoom;
  #bySequence = new Map<number, Lease>();
  #byKey = new Map<string, KeyQueue>();
  /** Those of which something comes by itself, such as the end of a deadline. */
  #busyCount = 0;
  /** Delivery attempts of messages that were handed out, and have not been since a start or `giveUp()`. */
  #earlierAttempts = new Map<number, number>();

  constructor(owner: LeaseOwner, deadlines: Deadlines<Lease>, brokerRoom: SharedRoom) {
    this.#owner = owner;
    this.#deadlines = deadlines;
    this.#brokerRoom = brokerRoom;
  }

  get size(): number {
    return this.#bySequence.size;
  }

  /** Nobody holds any of them, and each is only to be handed out again. */
  get areResting(): boolean {
    return this.size > 0 && this.#busyCount === 0;
  }

  /**
   * Without room in the broker, `waiter` is woken when there is some again. Room in the subscription comes with what it
   * is done with, after which it wakes its delivery itself.
   */
  hasRoomFor(waiter: Waiter): boolean {
    if (this.size >= bounds.leasesPerSubscription) return false;
    if (this.#brokerRoom.has(1)) return true;
    this.#brokerRoom.wakeWhenFree(waiter);
    return false;
  }

  get(sequence: number): Lease | undefined {
    return this.#bySequence.get(sequence);
  }

  values(): Iterable<Lease> {
    return this.#bySequence.values();
  }

  /** Those of its key; undefined without one. */
  queueOf({ key }: { key: string }): KeyQueue | undefined {
    return key === '' ? undefined : this.#byKey.get(key);
  }

  /** Puts a message into memory. */
  create(sequence: number, bytes: number, key: string): Lease {
    const lease = new Lease(this.#owner, sequence, bytes, key);
    const attempts = this.#earlierAttempts.get(sequence);
    if (attempts !== undefined) {
      lease.attempts = attempts;
      this.#earlierAttempts.delete(sequence);
    }
    this.#bySequence.set(sequence, lease);
    this.#brokerRoom.take(1);
    if (key === '') return lease;
    let queue = this.#byKey.get(key);
    if (!queue) {
      queue = new KeyQueue();
      this.#byKey.set(key, queue);
    }
    queue.push(lease);
    return lease;
  }

  handOut(lease: Lease, consumer: Consumer, generation: number, until: number): void {
    lease.consumer = consumer;
    lease.attempts++;
    lease.isAcked = false;
    lease.isRead = false;
    lease.isForsaken = false;
    lease.generation = generation;
    this.queueOf(lease)?.leased();
    this.#lease(lease, until);
  }

  /** A lease that is past its deadline and not delivered again yet stays with who has it. */
  extend(lease: Lease, until: number): void {
    lease.isRead = true;
    lease.isForsaken = false;
    if (lease.state === 'ready' || lease.state === 'waiting') {
      this.#lease(lease, until);
      lease.consumer?.retaken?.(lease);
    } else this.#deadlines.set(lease, until);
  }

  /** `consumer` is gone. What it has not read has until `until` for that to turn out wrong. */
  forsake(consumer: Consumer, until: number): void {
    for (const lease of this.#bySequence.values()) {
      if (lease.consumer !== consumer || lease.state !== 'leased' || lease.isRead || lease.isAcked) continue;
      lease.isForsaken = true;
      this.#deadlines.set(lease, until);
    }
  }

  move(lease: Lease, state: LeaseState): void {
    if (isBusy(lease.state)) this.#busyCount--;
    if (isBusy(state)) this.#busyCount++;
    lease.state = state;
  }

  #lease(lease: Lease, until: number): void {
    this.move(lease, 'leased');
    this.outstandingCount++;
    this.outstandingBytes += lease.bytes;
    this.#deadlines.set(lease, until);
  }

  /** Nobody holds it any more. */
  release(lease: Lease): void {
    this.#deadlines.remove(lease);
    if (lease.state !== 'leased' || lease.isAcked) return;
    this.outstandingCount--;
    this.outstandingBytes -= lease.bytes;
    lease.consumer?.released(lease);
  }

  /** Out of memory. @returns the one of its key that may follow now. */
  remove(lease: Lease): Lease | undefined {
    this.release(lease);
    this.move(lease, 'gone');
    this.#bySequence.delete(lease.sequence);
    this.#brokerRoom.giveBack(1);
    const queue = this.queueOf(lease);
    if (!queue) return undefined;
    queue.remove(lease);
    if (queue.isEmpty) this.#byKey.delete(lease.key);
    return queue.next;
  }

  clear(): void {
    this.#removeAll();
    this.#earlierAttempts.clear();
  }

  /** All of it out of memory, but for the delivery attempts where a policy counts them. */
  giveUp(): void {
    const { deadLetterPolicy, retryPolicy } = this.#owner.settings;
    if (deadLetterPolicy || retryPolicy) {
      for (const [sequence, { attempts }] of this.#bySequence) {
        if (attempts > 0) this.#earlierAttempts.set(sequence, attempts);
      }
    }
    this.#removeAll();
  }

  #removeAll(): void {
    for (const lease of this.#bySequence.values()) {
      this.release(lease);
      this.move(lease, 'gone');
    }
    this.#brokerRoom.giveBack(this.size);
    this.#bySequence.clear();
    this.#byKey.clear();
  }

  setEarlierAttempts(sequence: number, attempts: number): void {
    this.#earlierAttempts.set(sequence, attempts);
  }

  forgetEarlierAttempts(sequence: number): void {
    this.#earlierAttempts.delete(sequence);
  }

  /** Those of messages of which the subscription is `done`, such as those that are past their retention. */
  forgetAttemptsOf(done: { has(sequence: number): boolean }): void {
    for (const sequence of this.#earlierAttempts.keys()) {
      if (done.has(sequence)) this.#earlierAttempts.delete(sequence);
    }
  }

  attempts(): [sequence: number, attempts: number][] {
    const attempts: [number, number][] = [...this.#earlierAttempts];
    for (const lease of this.#bySequence.values()) attempts.push([lease.sequence, lease.attempts]);
    return attempts;
  }
}

function isBusy(state: LeaseState): boolean {
  return state === 'leased' || state === 'waiting' || state === 'forwarding';
}
