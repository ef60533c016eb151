/** The writer's Prometheus metrics; what is only looked at when scraped costs nothing until then. */
import { createRegistry, durationBuckets } from '@assessment/api/registry';
import { Counter, Histogram } from 'prom-client';

export function createMetrics() {
  const { registry, registers, watch } = createRegistry();
  return {
    registry,
    watch,
    flushes: new Counter({
      name: 'writer_batches_total',
      help: 'Batches handed to MongoDB, by what made them leave.',
      labelNames: ['reason'],
      registers,
    }),
    batchWrites: new Histogram({
      name: 'writer_batch_writes',
      help: 'Writes in one batch.',
      buckets: [1, 5, 10, 50, 100, 250, 500, 1000, 2500],
      registers,
    }),
    storeDuration: new Histogram({
      name: 'writer_bulk_write_duration_seconds',
      help: 'Time of one bulkWrite that MongoDB answered.',
      buckets: durationBuckets,
      registers,
    }),
    insertedWrites: new Counter({
      name: 'writer_writes_inserted_total',
      help: 'Writes that MongoDB inserted and journaled.',
      registers,
    }),
    duplicateWrites: new Counter({
      name: 'writer_writes_duplicate_total',
      help: 'Writes that were stored already: redeliveries.',
      registers,
    }),
    envelopes: new Counter({
      name: 'writer_envelopes_total',
      help: 'Envelopes settled, by outcome: stored, dead_letter, returned.',
      labelNames: ['outcome'],
      registers,
    }),
    storeRetries: new Counter({
      name: 'writer_bulk_write_retries_total',
      help: 'bulkWrite calls that have to be done again.',
      registers,
    }),
    subscriptionErrors: new Counter({
      name: 'writer_subscription_errors_total',
      help: 'Streaming pulls that ended with an error and were opened again.',
      registers,
    }),
  };
}
