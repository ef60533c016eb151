/**
 * The consumers of a subscription, in turns of `turnCount` messages, so that several streams share. A pull is filled in one
 * turn: many that are filled together would all be in memory before the first of them is answered.
 */
import type { Consumer } from './consumer.ts';

/** Messages that one consumer gets in a row: enough that a response of small messages is worth sending. */
const turnCount = 50;

export class Turns {
  #consumers: Consumer[] = [];
  #turn = 0;
  #taken = 0;

  get count(): number {
    return this.#consumers.length;
  }

  /** As they are now: the one that is asked may leave. */
  all(): Consumer[] {
    return [...this.#consumers];
  }

  add(consumer: Consumer): void {
    this.#consumers.push(consumer);
  }

  remove(consumer: Consumer): void {
    const at = this.#consumers.indexOf(consumer);
    if (at >= 0) this.#consumers.splice(at, 1);
  }

  /** The next in turn that wants a message of that size. */
  next(bytes: number): Consumer | undefined {
    const { length } = this.#consumers;
    for (let offset = 0; offset < length; offset++) {
      const consumer = this.#consumers[(this.#turn + offset) % length];
      if (!consumer?.wants(bytes)) continue;
      if (offset > 0) {
        this.#turn += offset;
        this.#taken = 0;
      }
      return consumer;
    }
    return undefined;
  }

  /** One was handed out to whose turn it is. */
  took({ takesUntilFull }: Consumer): void {
    if (++this.#taken < turnCount || takesUntilFull) return;
    this.#taken = 0;
    this.#turn++;
  }
}
