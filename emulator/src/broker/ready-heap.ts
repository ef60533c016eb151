/** What is to be delivered again, earliest published first. */
import type { Lease } from './lease.ts';

export class ReadyHeap {
  #heap: Lease[] = [];

  get first(): Lease | undefined {
    return this.#heap[0];
  }

  push(lease: Lease): void {
    if (lease.isQueued) return;
    lease.isQueued = true;
    let at = this.#heap.length;
    this.#heap.push(lease);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = this.#heap[parent];
      if (!above || above.sequence <= lease.sequence) break;
      this.#heap[at] = above;
      at = parent;
    }
    this.#heap[at] = lease;
  }

  pop(): Lease | undefined {
    const top = this.#heap[0];
    const last = this.#heap.pop();
    if (!top || !last) return undefined;
    top.isQueued = false;
    if (this.#heap.length > 0) this.#sink(last);
    return top;
  }

  #sink(lease: Lease): void {
    const heap = this.#heap;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      let below = heap[child];
      const right = heap[child + 1];
      if (right && below && right.sequence < below.sequence) {
        child++;
        below = right;
      }
      if (!below || below.sequence >= lease.sequence) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = lease;
  }
}
