/**
 * Keeps a value fresh in the background, so that no request waits for its source or loads it.
 *
 * One load at a time; the next starts `intervalMs` after the last one started, or later when loads are
 * slow: the source works for it at most `timeShareMax` of the time. What a load costs the source is its
 * time less that of as many empty round trips: on a busy process most of the time is the answer waiting
 * for its turn in the event loop, which must not make the value older. While loads fail the last value
 * stays, its age grows, and tries go on at the same pace.
 */
export interface RefresherOptions<Value> {
  load: () => Promise<Value>;
  /** A round trip to the source that does nothing there, such as a ping. */
  roundTrip: () => Promise<unknown>;
  /** How many round trips a load makes, one after the other. */
  roundTripsPerLoad: number;
  intervalMs: number;
  timeShareMax: number;
  onFailed?: (error: unknown) => void;
  /** Tests bring their own. `now` is in milliseconds and never goes back. */
  clock?: Clock;
}

interface Clock {
  now(): number;
  setTimeout(callback: () => void, delayMs: number): NodeJS.Timeout;
}

const systemClock: Clock = { now: () => performance.now(), setTimeout };

export interface Refresher<Value> {
  /** The last value loaded, undefined before the first. */
  value(): Value | undefined;
  /** Seconds since the last value's load began; undefined before the first. */
  ageSeconds(): number | undefined;
  /** Stops refreshing, and resolves when no load is under way. */
  close(): Promise<void>;
}

/** A load that fails at once, or takes longer than the interval, is still not followed by the next at once. */
const pauseMinMs = 100;

export function createRefresher<Value>(options: RefresherOptions<Value>): Refresher<Value> {
  const clock = options.clock ?? systemClock;
  let loaded: { value: Value; startedAt: number } | undefined;
  let timer: NodeJS.Timeout | undefined;
  let isClosed = false;
  let underWay = refresh();

  async function refresh(): Promise<void> {
    const startedAt = clock.now();
    let costMs = 0;
    try {
      await options.roundTrip();
      const loadStartedAt = clock.now();
      const value = await options.load();
      const roundTripMs = loadStartedAt - startedAt;
      costMs = clock.now() - loadStartedAt - roundTripMs * options.roundTripsPerLoad;
      loaded = { value, startedAt: loadStartedAt };
    } catch (error) {
      options.onFailed?.(error);
    }
    if (isClosed) return;
    const tookMs = clock.now() - startedAt;
    const pauseMs = Math.max(options.intervalMs, costMs / options.timeShareMax) - tookMs;
    timer = clock.setTimeout(
      () => {
        underWay = refresh();
      },
      Math.max(pauseMs, pauseMinMs),
    );
  }

  return {
    value: () => loaded?.value,
    ageSeconds: () => loaded && (clock.now() - loaded.startedAt) / 1000,
    async close() {
      isClosed = true;
      clearTimeout(timer);
      await underWay;
      clearTimeout(timer);
    },
  };
}
