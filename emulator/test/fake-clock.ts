/** A clock that stands still until it is told to go on. Nothing else is faked. */
import type { Clock } from '../src/broker/clock.ts';

export class FakeClock implements Clock {
  #elapsed = 0;
  /** What the machine's time says when none has passed. */
  #base = Date.UTC(2026, 0, 1);
  #timers = new Map<number, { at: number; wake: () => void }>();
  #lastTimer = 0;

  now(): number {
    return this.#base + this.#elapsed;
  }

  elapsed(): number {
    return this.#elapsed;
  }

  /** Somebody sets the machine's time. */
  jump(ms: number): void {
    this.#base += ms;
  }

  get timerCount(): number {
    return this.#timers.size;
  }

  wakeIn(delayMs: number, wake: () => void): () => void {
    const timer = ++this.#lastTimer;
    this.#timers.set(timer, { at: this.#elapsed + delayMs, wake });
    return () => this.#timers.delete(timer);
  }

  advance(ms: number): void {
    const end = this.#elapsed + ms;
    for (;;) {
      const [next] = [...this.#timers].filter(([, { at }]) => at <= end).sort((a, b) => a[1].at - b[1].at);
      if (!next) break;
      this.#timers.delete(next[0]);
      this.#elapsed = Math.max(this.#elapsed, next[1].at);
      next[1].wake();
    }
    this.#elapsed = end;
  }
}
