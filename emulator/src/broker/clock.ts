/** The times, and the one timer a caller keeps. Tests bring their own. */

export interface Clock {
  /** Milliseconds since 1970, as publish times have them. */
  now(): number;
  /** Milliseconds that only go forward, whatever is done to the machine's time: what leases last by. */
  elapsed(): number;
  /** Calls `wake` after `delayMs`; the returned function cancels. */
  wakeIn(delayMs: number, wake: () => void): () => void;
}

/** setTimeout takes at most this. */
const delayMsMax = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  wakeIn(delayMs, wake) {
    const timer = setTimeout(wake, Math.min(delayMs, delayMsMax));
    return () => clearTimeout(timer);
  },
};
