/** Starts the writer: config → bulk writer → writer → subscriber → health port; drains on SIGTERM and SIGINT. */
import { setTimeout as pause } from 'node:timers/promises';
import { answerErrors } from '@assessment/api/answer-errors';
import type { Write } from '@assessment/api/envelope';
import { readEnvironmentOrExit } from '@assessment/api/environment';
import { createLogger } from '@assessment/api/log';
import { closeMongoClient, createMongoClient, openDatabase, ping } from '@assessment/api/mongo';
import { names } from '@assessment/api/names';
import { createPubSub, openTopic } from '@assessment/api/pubsub';
import { readModelCollection } from '@assessment/api/read-model';
import { createReadiness } from '@assessment/api/readiness';
import { answerNotFound } from '@assessment/api/refusal';
import { createHealthRouter } from '@assessment/api/routes/health';
import { listen } from '@assessment/api/server';
import { startTracing } from '@assessment/api/tracing';
import closeWithGrace from 'close-with-grace';
import express from 'express';
import { createBulkWriter } from './bulk-writer.ts';
import { createCircuitBreaker } from './circuit-breaker.ts';
import { configSchema } from './config.ts';
import { createDeadLetters } from './dead-letter.ts';
import { createMetrics } from './metrics.ts';
import { createReadModelUpdater, seedReadModel } from './read-model.ts';
import { createSubscriber, type Subscriber } from './subscriber.ts';
import { createWaitingRoom } from './waiting-room.ts';
import { createWriter } from './writer.ts';

/** Probes, Prometheus and a few people; far more than they need, and 10 MB at most. */
const connectionsMax = 1_000;

/** Share of the leases that may wait for a remedy: as much is always left for good writes. */
const waitingShare = 0.5;

/** A dead letter waits for the broker as long as the client does; it is tried again by dead-letter.ts. */
const deadLetterTimeoutMs = 10_000;

/** What is left of the drain for giving back leases once MongoDB is no longer waited for. */
const giveBackMs = 2_000;

const config = readEnvironmentOrExit(configSchema);
const logger = createLogger('writer', config.LOG_LEVEL);
const metrics = createMetrics();
const tracing = await startTracing('writer', config, logger);
const stopping = new AbortController();
const mongo = createMongoClient(config.MONGODB_URI, {
  appName: 'writer',
  // One more than the writes, so that a ping is answered while all of them wait.
  poolSizeMax: config.WRITE_CONCURRENCY + 1,
});
const database = openDatabase(mongo, config.MONGODB_URI);
const records = database.collection<Write>(names.collection);
const readModel = readModelCollection(database);
const pubsub = createPubSub(config);
const deadLetterTopic = openTopic(pubsub, names.deadLetterTopic, { timeoutMs: deadLetterTimeoutMs });

const breaker = createCircuitBreaker({
  refusedMax: config.REFUSED_IN_A_ROW_MAX,
  onOpened(refusedCount, cause) {
    logger.error({ refusedCount, cause }, 'MongoDB refuses every document; refused envelopes wait, leased');
  },
  onClosed: () => logger.error('MongoDB stores documents again; envelopes that wait are stored'),
});
const bulkWriter = createBulkWriter(records, {
  concurrency: config.WRITE_CONCURRENCY,
  breaker,
  signal: stopping.signal,
  onStored({ writes, insertedCount, seconds }) {
    metrics.storeDuration.observe(seconds);
    metrics.insertedWrites.inc(insertedCount);
    metrics.duplicateWrites.inc(writes.length - insertedCount);
    readModelUpdater.stored(writes, insertedCount);
  },
  onRetry(error, tries, pauseMs) {
    metrics.storeRetries.inc();
    logger.warn({ err: error, tries, pauseMs: Math.round(pauseMs) }, 'bulkWrite failed; leases are kept');
  },
});
const readModelUpdater = createReadModelUpdater(readModel, {
  run: bulkWriter.run,
  onFailed: (error) => logger.debug({ err: error }, 'read model not updated; it will be'),
});
const room = createWaitingRoom({
  messagesMax: Math.ceil(config.LEASED_MESSAGES_MAX * waitingShare),
  bytesMax: Math.ceil(config.LEASED_BYTES_MAX * waitingShare),
});
const deadLetters = createDeadLetters({
  subscription: names.subscription,
  send: (message) => deadLetterTopic.publishMessage(message),
  room,
  signal: stopping.signal,
  onUnconfirmed(error) {
    logger.error({ err: error }, 'the dead-letter topic does not confirm; dead letters wait, leased');
  },
  onConfirmed: () => logger.warn('the dead-letter topic confirms again; dead letters that wait are sent'),
});
const writer = createWriter({
  bulkWriter,
  breaker,
  deadLetters,
  room,
  batch: {
    writesMax: config.BATCH_WRITES_MAX,
    bytesMax: config.BATCH_BYTES_MAX,
    ageMaxMs: config.BATCH_AGE_MAX_MS,
  },
  onBatch(writes, reason) {
    metrics.flushes.inc({ reason });
    metrics.batchWrites.observe(writes);
  },
  // Undefined when nobody asked: a batch has up to 2,000 messages.
  ...(tracing && {
    onStoring(messages, writes) {
      const traced = tracing.startStore(
        messages.map(({ attributes }) => attributes ?? {}),
        writes,
      );
      return traced.end;
    },
  }),
  onSettled(outcome, { id, attributes }) {
    metrics.envelopes.inc({ outcome });
    const isDeadLetter = outcome === 'dead_letter';
    if (!isDeadLetter && !logger.isLevelEnabled('debug')) return;
    const bindings = { messageId: id, requestIds: attributes?.requestIds?.split(',') };
    // Without the reason: MongoDB quotes values in it. `npm run dead-letters` shows it.
    if (isDeadLetter) logger.warn(bindings, 'envelope sent to the dead-letter topic');
    else logger.debug(bindings, outcome);
  },
});
metrics.watch('writer_mongodb_operations', 'Writes in MongoDB now.', () => bulkWriter.operations().active);
metrics.watch('writer_mongodb_operations_limit', 'The most of these writes at once.', () => {
  return config.WRITE_CONCURRENCY;
});
metrics.watch('writer_mongodb_operations_waiting', 'Operations that wait for their turn.', () => {
  return bulkWriter.operations().waiting;
});

metrics.watch('writer_breaker_open', 'Whether MongoDB refuses every document: 1 or 0.', () => {
  return Number(breaker.isOpen());
});
metrics.watch('writer_envelopes_held', 'Envelopes that wait because MongoDB refuses every document.', () => {
  return writer.heldCount();
});
metrics.watch('writer_dead_letters_waiting', 'Envelopes that the dead-letter topic does not take.', () => {
  return deadLetters.waitingCount();
});

let subscriber: Subscriber | undefined;
const readiness = createReadiness(
  [
    { name: 'MongoDB', run: () => ping(database, 1_000) },
    {
      name: 'Pub/Sub',
      async run() {
        if (!subscriber?.isOpen()) throw new Error('the subscription is not open');
        await pubsub.subscription(names.subscription).getMetadata({ timeout: 1_000, retry: null });
      },
    },
  ],
  logger,
);
let isServing = false;
let isDraining = false;
const healthApp = express()
  .disable('x-powered-by')
  .use(createHealthRouter({ readiness, registry: metrics.registry, isServing: () => isServing }))
  .use(answerNotFound)
  .use(answerErrors({ logger }));
const server = await listen(healthApp, { host: config.HOST, port: config.PORT, connectionsMax }).catch(
  (error: Error) => {
    logger.fatal(error.message);
    process.exit(1);
  },
);

closeWithGrace({ delay: config.DRAIN_TIMEOUT_MS, logger }, async ({ signal, err }) => {
  // What nobody caught: close-with-grace does not tell of it, and exits 1 afterwards.
  if (err) logger.fatal({ err }, 'failed');
  logger.info({ signal }, 'draining');
  isDraining = true;
  isServing = false;
  // Past this point MongoDB is not waited for any longer: leases are given back while there is time for it.
  const giveUp = setTimeout(() => stopping.abort(), Math.max(0, config.DRAIN_TIMEOUT_MS - giveBackMs));
  const closed = subscriber?.close();
  await writer.drain();
  await closed;
  clearTimeout(giveUp);
  await readModelUpdater.close();
  await server.close();
  await closeMongoClient(mongo);
  await pubsub.close();
  await tracing?.close();
  logger.info('drained');
});

await seedWhenMongoDbAnswers();
if (!isDraining) subscribe();

function subscribe(): void {
  subscriber = createSubscriber(pubsub, names.subscription, {
    leasedMessagesMax: config.LEASED_MESSAGES_MAX,
    leasedBytesMax: config.LEASED_BYTES_MAX,
    drainTimeoutMs: config.DRAIN_TIMEOUT_MS,
    onMessage: writer.receive,
    untilSettled: writer.drain,
    onError(error) {
      metrics.subscriptionErrors.inc();
      logger.warn({ err: error }, 'subscription failed; it will be opened again');
    },
  });
  isServing = true;
  logger.info({ host: config.HOST, port: server.port }, 'listening');
}

/** Nothing is leased before MongoDB has answered once: a lease that cannot be used helps nobody. */
async function seedWhenMongoDbAnswers(): Promise<void> {
  while (!isDraining) {
    try {
      return await seedReadModel(readModel, records);
    } catch (error) {
      logger.warn({ err: error }, 'waiting for MongoDB');
      await pause(1_000);
    }
  }
}
