/** The api's Prometheus metrics; what is only looked at when scraped costs nothing until then. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** Seconds; the thresholds of the stress test, 2 and 5, are among them. */
const durationBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10];

export type Metrics = ReturnType<typeof createMetrics>;

export function createMetrics() {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  return {
    registry,
    requestDuration: new Histogram({
      name: 'api_http_request_duration_seconds',
      help: 'Time from a request to its answer, by route and status.',
      labelNames: ['route', 'status'],
      buckets: durationBuckets,
      registers,
    }),
    refused: new Counter({
      name: 'api_requests_refused_total',
      help: 'Requests answered with a failure, by code.',
      labelNames: ['code'],
      registers,
    }),
    publishDuration: new Histogram({
      name: 'api_publish_duration_seconds',
      help: 'Time until the broker confirmed an envelope.',
      buckets: durationBuckets,
      registers,
    }),
    envelopeWrites: new Histogram({
      name: 'api_envelope_writes',
      help: 'Writes in one envelope.',
      buckets: [1, 5, 10, 25, 50, 100, 250, 500, 1000],
      registers,
    }),
    confirmedWrites: new Counter({
      name: 'api_writes_confirmed_total',
      help: 'Writes that the broker confirmed.',
      registers,
    }),
    publishFailures: new Counter({
      name: 'api_publish_failures_total',
      help: 'Publish calls that ended without a confirmation.',
      registers,
    }),
    refreshFailures: new Counter({
      name: 'api_reader_refresh_failures_total',
      help: 'Background reads that failed.',
      registers,
    }),
    /** A figure that is read when somebody scrapes; undefined shows as NaN. */
    watch(name: string, help: string, read: () => number | undefined) {
      return new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(read() ?? Number.NaN);
        },
      });
    },
  };
}
