/**
 * When leases end and when waiting messages may be delivered again: a timer wheel with one timer for the whole
 * broker, whatever the number of messages.
 *
 * An entry is in the list of its tick, or in none. Setting, moving and removing one costs the same however many
 * there are; nothing of an ended lease stays behind. A tick is 20 ms, so that with the timer's own delay a
 * redelivery comes within 50 ms of its deadline. Without entries there is no timer.
 */
import type { Clock } from './clock.ts';

const tickMs = 20;

/** What a deadline is set on. The fields are the wheel's own. */
export abstract class Timed {
  tick = -1;
  previous: Timed | undefined;
  following: Timed | undefined;
}

export class Deadlines<Entry extends Timed> {
  #clock: Clock;
  #onDue: (entries: Entry[]) => void;
  /** First entry of each tick that is in the heap; undefined once all of them are gone. */
  #heads = new Map<number, Timed | undefined>();
  /** Heap of the ticks, each once. */
  #ticks: number[] = [];
  #cancel: (() => void) | undefined;
  #armedTick = Number.POSITIVE_INFINITY;

  constructor(clock: Clock, onDue: (entries: Entry[]) => void) {
    this.#clock = clock;
    this.#onDue = onDue;
  }

  /** Sets or moves the deadline of `entry`; never before `atMs`. */
  set(entry: Entry, atMs: number): void {
    const tick = Math.ceil(atMs / tickMs);
    if (entry.tick === tick) return;
    this.remove(entry);
    const head = this.#heads.get(tick);
    entry.tick = tick;
    entry.following = head;
    if (head) head.previous = entry;
    else if (!this.#heads.has(tick)) pushTick(this.#ticks, tick);
    this.#heads.set(tick, entry);
    if (tick < this.#armedTick) this.#arm();
  }

  remove(entry: Entry): void {
    if (entry.tick < 0) return;
    if (entry.following) entry.following.previous = entry.previous;
    if (entry.previous) entry.previous.following = entry.following;
    else this.#heads.set(entry.tick, entry.following);
    entry.previous = undefined;
    entry.following = undefined;
    entry.tick = -1;
  }

  close(): void {
    this.#cancel?.();
    this.#heads.clear();
    this.#ticks.length = 0;
  }

  #arm(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#armedTick = Number.POSITIVE_INFINITY;
    let tick = this.#ticks[0];
    while (tick !== undefined && !this.#heads.get(tick)) {
      this.#heads.delete(tick);
      popTick(this.#ticks);
      tick = this.#ticks[0];
    }
    if (tick === undefined) return;
    this.#armedTick = tick;
    const delayMs = Math.max(0, tick * tickMs - this.#clock.elapsed());
    this.#cancel = this.#clock.wakeIn(delayMs, () => this.#wake());
  }

  #wake(): void {
    this.#cancel = undefined;
    this.#armedTick = Number.POSITIVE_INFINITY;
    const now = this.#clock.elapsed();
    const due: Entry[] = [];
    for (let tick = this.#ticks[0]; tick !== undefined && tick * tickMs <= now; tick = this.#ticks[0]) {
      popTick(this.#ticks);
      for (let entry = this.#heads.get(tick); entry; entry = this.#heads.get(tick)) {
        this.remove(entry as Entry);
        due.push(entry as Entry);
      }
      this.#heads.delete(tick);
    }
    if (due.length > 0) this.#onDue(due);
    this.#arm();
  }
}

function pushTick(heap: number[], tick: number): void {
  let at = heap.length;
  heap.push(tick);
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if ((heap[parent] ?? 0) <= tick) break;
    heap[at] = heap[parent] ?? 0;
    at = parent;
  }
  heap[at] = tick;
}

function popTick(heap: number[]): void {
  const tick = heap.pop();
  if (tick === undefined || heap.length === 0) return;
  let at = 0;
  for (;;) {
    let child = at * 2 + 1;
    if (child >= heap.length) break;
    if ((heap[child + 1] ?? Number.POSITIVE_INFINITY) < (heap[child] ?? 0)) child++;
    if ((heap[child] ?? 0) >= tick) break;
    heap[at] = heap[child] ?? 0;
    at = child;
  }
  heap[at] = tick;
}
