/** A process's Prometheus registry, with what Node says of itself. */
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';

/** Seconds, for histograms; the stress test's thresholds of 2 and 5 are among them. */
export const durationBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10];

export function createRegistry() {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  return {
    registry,
    registers: [registry],
    /** Told from 0 on for each of the label's `values`: of a series that is born at 1, Prometheus sees no increase. */
    countBy(name: string, help: string, label: string, values: readonly string[]): Counter {
      const counter = new Counter({ name, help, labelNames: [label], registers: [registry] });
      for (const value of values) counter.labels(value).inc(0);
      return counter;
    },
    /** A figure that is only read when somebody scrapes; undefined shows as NaN. */
    watch(name: string, help: string, read: () => number | undefined): void {
      new Gauge({
        name,
        help,
        registers: [registry],
        collect() {
          this.set(read() ?? Number.NaN);
        },
      });
    },
  };
}
