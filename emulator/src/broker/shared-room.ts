/**
 * Room that many share, such as that for the leases of all subscriptions: a count with a bound. Who finds none asks to be
 * woken, and is, once, when some was given back; it may find that another was quicker, and asks again.
 */
export class SharedRoom {
  #used = 0;
  #max: number;
  #waiting = new Set<Waiter>();

  constructor(max: number) {
    this.#max = max;
  }

  has(count: number): boolean {
    return this.#used + count <= this.#max;
  }

  take(count: number): void {
    this.#used += count;
  }

  giveBack(count: number): void {
    this.#used -= count;
    if (this.#waiting.size > 0) this.#wakeAll();
  }

  wakeWhenFree(waiter: Waiter): void {
    this.#waiting.add(waiter);
  }

  /** Later: who gives back is in the middle of its own work. */
  #wakeAll(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    queueMicrotask(() => {
      for (const waiter of waiting) waiter.wake();
    });
  }
}

export interface Waiter {
  wake(): void;
}
