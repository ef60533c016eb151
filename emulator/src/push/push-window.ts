/**
 * How many requests an endpoint gets at once, and when it gets none: the slow start and push backoff of
 * https://cloud.google.com/pubsub/docs/push#push_backoff
 *
 * The window starts small, grows by one with each success, so that it doubles with every round, and is halved by a
 * failure. While requests fail nothing is sent for 100 ms, doubled with each round that failed, up to 60 s. With a retry
 * policy each message waits by itself instead.
 */

const windowStart = 3;
/** 1,000 connections to one endpoint, of about 30 kB each. */
const windowMax = 1_000;
const backoffMsMin = 100;
const backoffMsMax = 60_000;

export class PushWindow {
  size = windowStart;
  #now: () => number;
  #failedRounds = 0;
  #pausedUntil = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  succeeded(): void {
    this.size = Math.min(this.size + 1, windowMax);
    this.#failedRounds = 0;
  }

  /** `isPaced`: a retry policy says when the message comes again. */
  failed(isPaced: boolean): void {
    this.size = Math.max(1, Math.floor(this.size / 2));
    // What was under way when the pause began belongs to the round that failed.
    if (isPaced || this.pauseMs > 0) return;
    this.#pausedUntil = this.#now() + Math.min(backoffMsMin * 2 ** this.#failedRounds, backoffMsMax);
    this.#failedRounds = Math.min(this.#failedRounds + 1, 16);
  }

  /** How long nothing is to be sent. */
  get pauseMs(): number {
    return Math.max(0, this.#pausedUntil - this.#now());
  }
}
