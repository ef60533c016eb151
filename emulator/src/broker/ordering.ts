/**
 * The messages of one ordering key that a subscription has in memory, in the order in which they were published.
 *
 * The first of them may always be delivered. A later one may be while all before it are leased to the same consumer:
 * then they travel together. So the leased ones are always the front of the queue. When one is nacked or its deadline
 * passes, it and all that follow it are delivered again, in order, and acks that had come for those that follow do
 * not count: an ack counts once all earlier ones do. https://cloud.google.com/pubsub/docs/ordering
 * Nor does that delivery count as an attempt of theirs: they only waited behind the one that failed.
 */
import type { Consumer } from './consumer.ts';
import type { Lease } from './lease.ts';

/** Acked messages at the front are cut off the array in groups of this many. */
const cutCount = 64;

export class KeyQueue {
  #leases: Lease[] = [];
  #first = 0;
  /** Where the leased ones end. */
  #leasedEnd = 0;

  get isEmpty(): boolean {
    return this.#first >= this.#leases.length;
  }

  push(lease: Lease): void {
    this.#leases.push(lease);
  }

  /** Whether `lease` comes next. */
  allows(lease: Lease): boolean {
    return this.#leases[this.#leasedEnd] === lease;
  }

  /** Whether a message that is to be added comes next. */
  get allowsAdded(): boolean {
    return this.#leasedEnd === this.#leases.length;
  }

  /** Who has those before the next one, and so has to get that too; undefined when nobody has. */
  get owner(): Consumer | undefined {
    return this.#leasedEnd === this.#first ? undefined : this.#leases[this.#leasedEnd - 1]?.consumer;
  }

  /** Notes that the next one was handed out. */
  leased(): void {
    this.#leasedEnd++;
  }

  /** The one that comes next, when nothing but its turn keeps it back. */
  get next(): Lease | undefined {
    const lease = this.#leases[this.#leasedEnd];
    return lease?.state === 'held' ? lease : undefined;
  }

  isFirst(lease: Lease): boolean {
    return this.#leases[this.#first] === lease;
  }

  /** Takes the acked ones off the front. */
  takeAcked(): Lease[] {
    const acked: Lease[] = [];
    for (let lease = this.#leases[this.#first]; lease?.isAcked; lease = this.#leases[this.#first]) {
      acked.push(lease);
      this.#first++;
    }
    this.#leasedEnd = Math.max(this.#leasedEnd, this.#first);
    if (this.#first >= cutCount) this.#cut();
    return acked;
  }

  /** `lease` is to be delivered again: it comes next, and those returned, which had been handed out, after it. */
  takeBack(lease: Lease): Lease[] {
    const at = this.#positionOf(lease);
    const followers = this.#leases.slice(at + 1, this.#leasedEnd);
    this.#leasedEnd = at;
    return followers;
  }

  remove(lease: Lease): void {
    const at = this.#positionOf(lease);
    if (this.#leases[at] !== lease) return;
    this.#leases.splice(at, 1);
    if (at < this.#leasedEnd) this.#leasedEnd--;
  }

  /** Where `lease` is, or would be: they are in the order of their sequence numbers. */
  #positionOf({ sequence }: Lease): number {
    let low = this.#first;
    let high = this.#leases.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#leases[middle]?.sequence ?? 0) < sequence) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #cut(): void {
    this.#leases.splice(0, this.#first);
    this.#leasedEnd -= this.#first;
    this.#first = 0;
  }
}
