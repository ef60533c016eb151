/**
 * Messages on their way to their dead-letter topic, a few at a time for the whole broker: each takes a window of the log,
 * and then a copy until that is on disk. Those that wait for their turn take nothing beside their lease, as a promise
 * for each would, because all that a subscription has outstanding may end in one request.
 */
import type { Lease } from './lease.ts';

/** Enough to share a commit; their windows are 2 MiB. */
const underWayMax = 8;
/** Those that had their turn are cut off the array in groups of this many. */
const cutCount = 64;

export class Forwarding {
  #waiting: Lease[] = [];
  /** How many at the front of `waiting` had their turn. */
  #taken = 0;
  #underWayCount = 0;
  #isClosed = false;
  #idle = Promise.withResolvers<void>();

  add(lease: Lease): void {
    this.#waiting.push(lease);
    if (this.#underWayCount < underWayMax) void this.#forwardInTurn();
  }

  async #forwardInTurn(): Promise<void> {
    this.#underWayCount++;
    try {
      for (let lease = this.#next(); lease; lease = this.#next()) {
        // It may have been acked, sought past or deleted while it waited.
        if (lease.state === 'forwarding') await lease.subscription.forward(lease);
      }
    } finally {
      this.#underWayCount--;
      if (this.#underWayCount === 0) this.#idle.resolve();
    }
  }

  #next(): Lease | undefined {
    const lease = this.#isClosed ? undefined : this.#waiting[this.#taken];
    if (!lease) return undefined;
    this.#taken++;
    if (this.#taken >= cutCount || this.#taken === this.#waiting.length) {
      this.#waiting.splice(0, this.#taken);
      this.#taken = 0;
    }
    return lease;
  }

  /** Begins with no more. Resolves when those under way are on disk, or are to be delivered again. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#idle = Promise.withResolvers();
    if (this.#underWayCount > 0) await this.#idle.promise;
  }
}
