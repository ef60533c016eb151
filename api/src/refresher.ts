/**
 * Keeps a value fresh in the background, so that no request waits for its source or loads it.
 *
 * One load at a time; the next starts `intervalMs` after the last one started, or later when loads are
 * slow: never more than `timeShareMax` of the time is spent loading. While loads fail the last value
 * stays, its age grows, and tries go on at the same pace.
 */
export interface RefresherOptions<Value> {
  load: () => Promise<Value>;
  intervalMs: number;
  timeShareMax: number;
  onFailed?: (error: unknown) => void;
}

export interface Refresher<Value> {
  /** The last value loaded, undefined before the first. */
  value(): Value | undefined;
  /** Seconds since the last value's load began; undefined before the first. */
  ageSeconds(): number | undefined;
  /** Stops refreshing, and resolves when no load is under way. */
  close(): Promise<void>;
}

export function createRefresher<Value>(options: RefresherOptions<Value>): Refresher<Value> {
  let loaded: { value: Value; startedAt: number } | undefined;
  let timer: NodeJS.Timeout | undefined;
  let isClosed = false;
  let underWay = refresh();

  async function refresh(): Promise<void> {
    const startedAt = performance.now();
    try {
      loaded = { value: await options.load(), startedAt };
    } catch (error) {
      options.onFailed?.(error);
    }
    if (isClosed) return;
    const tookMs = performance.now() - startedAt;
    const pauseMs = Math.max(options.intervalMs, tookMs / options.timeShareMax) - tookMs;
    timer = setTimeout(() => {
      underWay = refresh();
    }, pauseMs);
  }

  return {
    value: () => loaded?.value,
    ageSeconds: () => loaded && (performance.now() - loaded.startedAt) / 1000,
    async close() {
      isClosed = true;
      clearTimeout(timer);
      await underWay;
      clearTimeout(timer);
    },
  };
}
