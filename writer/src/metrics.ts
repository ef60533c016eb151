/** The writer's Prometheus metrics; what is only looked at when scraped costs nothing until then. */
import { createRegistry, durationBuckets } from '@assessment/api/registry';
import { Counter, Histogram } from 'prom-client';
import { flushReasons } from './batcher.ts';
import { outcomes } from './writer.ts';

export function createMetrics() {
  const { registry, registers, countBy, watch } = createRegistry();
  return {
    registry,
    watch,
    flushes: countBy(
      'writer_batches_total',
      'Batches handed to MongoDB, by what made them leave.',
      'reason',
      flushReasons,
    ),
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
    envelopes: countBy(
      'writer_envelopes_total',
      'Envelopes settled, by outcome: stored, dead_letter, returned.',
      'outcome',
      outcomes,
    ),
    storeRetries: new Counter({
      name: 'writer_bulk_write_retries_total',
      help: 'bulkWrite calls that have to be done again.',
      registers,
    }),
    subscriptionErrors: new Counter({
      name: 'writer_subscription_errors_total',
      help: 'Streaming pulls that the broker closed for good; each is opened again.',
      registers,
    }),
  };
}
