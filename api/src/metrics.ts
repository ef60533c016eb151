/** The api's Prometheus metrics; what is only looked at when scraped costs nothing until then. */
import { Counter, Histogram } from 'prom-client';
import { failureCodes } from './errors.ts';
import { createRegistry, durationBuckets } from './registry.ts';

export type Metrics = ReturnType<typeof createMetrics>;

export function createMetrics() {
  const { registry, registers, countBy, watch } = createRegistry();
  return {
    registry,
    watch,
    requests: new Counter({
      name: 'api_requests_total',
      help: 'Requests that arrived, refused ones too; health, metrics and the dashboard do not count.',
      registers,
    }),
    requestDuration: new Histogram({
      name: 'api_http_request_duration_seconds',
      help: 'Time from the arrival of a request to its answer, by route and status; one that is refused before its route does not count.',
      labelNames: ['route', 'status'],
      buckets: durationBuckets,
      registers,
    }),
    refused: countBy(
      'api_requests_refused_total',
      'Requests answered with a failure, by code.',
      'code',
      failureCodes,
    ),
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
  };
}
