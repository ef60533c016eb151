/** Latencies in buckets 1 % apart, so that memory does not grow with what is counted. */

export interface Latencies {
  add(ms: number): void;
  /** In ms, at most 1 % too high; NaN without any. */
  summary(): { p50: number; p99: number; max: number };
}

const growth = 1.01;
const leastMs = 0.01;
/** The last one is that of 100 s. */
const bucketsMax = Math.ceil(Math.log(100_000 / leastMs) / Math.log(growth));

export function createLatencies(): Latencies {
  const buckets = new Uint32Array(bucketsMax + 1);
  let count = 0;
  let max = Number.NaN;

  function percentile(share: number): number {
    let rest = Math.ceil(count * share);
    if (rest === 0) return Number.NaN;
    const bucket = buckets.findIndex((counted) => {
      rest -= counted;
      return rest <= 0;
    });
    return Math.min(max, leastMs * growth ** bucket);
  }

  return {
    add(ms) {
      const bucket = Math.ceil(Math.log(Math.max(ms, leastMs) / leastMs) / Math.log(growth));
      const at = Math.min(bucketsMax, bucket);
      buckets[at] = (buckets[at] ?? 0) + 1;
      count++;
      if (!(max >= ms)) max = ms;
    },
    summary: () => ({ p50: percentile(0.5), p99: percentile(0.99), max }),
  };
}
