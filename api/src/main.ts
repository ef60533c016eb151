/** Starts the api: config → publisher → reader → app → listen; drains on SIGTERM and SIGINT. */
import closeWithGrace from 'close-with-grace';
import { createAdmission } from './admission.ts';
import { createApp } from './app.ts';
import { watchBacklog } from './backlog.ts';
import { Budget } from './budget.ts';
import { configSchema } from './config.ts';
import { createDashboard } from './dashboard/dashboard.ts';
import { readMongoDbStatus } from './dashboard/mongodb-status.ts';
import { readEnvironmentOrExit } from './environment.ts';
import { draining, type FailureCode } from './errors.ts';
import { createKeyedRequests } from './keyed-requests.ts';
import { createLogger } from './log.ts';
import { createMetrics } from './metrics.ts';
import { closeMongoClient, createMongoClient, openDatabase, ping } from './mongo.ts';
import { names } from './names.ts';
import { createTravel, describeRequests } from './origin.ts';
import { createPublisher } from './publisher.ts';
import { createPubSub, openTopic } from './pubsub.ts';
import { createReader } from './reader.ts';
import { createReadiness } from './readiness.ts';
import { dashboardPaths } from './routes/dashboard.ts';
import { createDataRoute } from './routes/data.ts';
import { createDirectDataRoute } from './routes/direct-data.ts';
import { healthPaths } from './routes/health.ts';
import { listen } from './server.ts';
import { startTracing } from './tracing.ts';

/** 10,000 users who come at once are let in within seconds, at 20 turns a second of a busy event loop. */
const acceptsPerTurn = 64;

/** The driver's default, for the write path that is measured against. */
const directPoolSizeMax = 100;

/** 20,000 answers to GET /api/data and more: at 1,000 a second those of twenty seconds. */
const keyedAnswersBytesMax = 16 * 1024 * 1024;

const config = readEnvironmentOrExit(configSchema);
const logger = createLogger('api', config.LOG_LEVEL);
const metrics = createMetrics();
const tracing = await startTracing('api', config, logger);
const mongo = createMongoClient(config.MONGODB_URI, {
  appName: 'api',
  // One more than the reads, so that a ping is answered while all of them wait.
  poolSizeMax: config.WRITE_PATH === 'pubsub' ? config.READ_CONCURRENCY + 1 : directPoolSizeMax,
});
const database = openDatabase(mongo, config.MONGODB_URI);
const pubsub = createPubSub(config);
const topic = openTopic(pubsub, names.topic, { timeoutMs: config.PUBLISH_TIMEOUT_MS });

const budget = new Budget(config.REQUEST_BYTES_MAX);
const publisher = createPublisher(
  (data, attributes) => topic.publishMessage({ data, ...(attributes && { attributes }) }),
  {
    timeoutMs: config.PUBLISH_TIMEOUT_MS,
    concurrency: config.PUBLISH_CONCURRENCY,
    intervalMs: config.PUBLISH_INTERVAL_MS,
    envelopeWritesMax: config.ENVELOPE_WRITES_MAX,
    budget,
    createTravel: (origins) => createTravel(origins, tracing),
    onConfirmed({ count, writes, attributes, messageId, seconds }) {
      metrics.publishDuration.observe(seconds);
      metrics.envelopeWrites.observe(count);
      metrics.confirmedWrites.inc(count);
      if (logger.isLevelEnabled('debug')) {
        logger.debug({ messageId, ...describeRequests(writes(), attributes) }, 'confirmed');
      }
    },
    onFailed(cause, { writes, attributes }) {
      metrics.publishFailures.inc();
      logger.warn({ err: cause, ...describeRequests(writes(), attributes) }, 'publish failed');
    },
  },
);

const reader = createReader(database, {
  concurrency: config.READ_CONCURRENCY,
  onRefreshFailed(error) {
    metrics.refreshFailures.inc();
    logger.debug({ err: error }, 'refresh failed; the cache is served');
  },
});

const keyedRequests = createKeyedRequests({
  async findStored(ids) {
    if (!reader.isAnswering()) return undefined;
    return reader.findRecords(ids).catch(() => undefined);
  },
  bytesMax: keyedAnswersBytesMax,
});

const readiness = createReadiness(
  [
    { name: 'MongoDB', run: () => ping(database, 1_000) },
    {
      name: 'Pub/Sub',
      async run() {
        await topic.getMetadata({ timeout: 1_000, retry: null });
      },
    },
  ],
  logger,
);

let isServing = false;
const dataRoute =
  config.WRITE_PATH === 'pubsub'
    ? createDataRoute({ publisher, reader, keyedRequests, tracing, token: config.API_TOKEN })
    : createDirectDataRoute(database, config.WRITE_PATH === 'direct' ? '_id' : 'filter');
const backlog = watchBacklog(config);
const dashboard = createDashboard({
  registry: metrics.registry,
  readiness,
  hosts: {
    api: config.API_METRICS_HOST,
    writer: config.WRITER_METRICS_HOST,
    emulator: config.PUBSUB_EMULATOR_HOST,
  },
  mongoDbStatus: () => readMongoDbStatus(database),
  documents: () => reader.totalDocuments()?.total ?? null,
  // Who may write is asked for a token, and a burst writes.
  burstRequestsMax: config.API_TOKEN === undefined ? config.BURST_REQUESTS_MAX : 0,
  logger,
});
const onRefused = (code: FailureCode) => metrics.refused.inc({ code });
const app = createApp({
  budget,
  token: config.API_TOKEN,
  dataRoute,
  publisher,
  reader,
  keyedRequests,
  backlog,
  dashboard,
  readiness,
  metrics,
  tracing,
  logger,
  onRefused,
  isServing: () => isServing,
});
const overloadedCount = metrics.refused.labels('overloaded');
const admission = createAdmission(app, {
  budget,
  // One for each socket: who pipelines has more.
  refusalsMax: config.CONNECTIONS_MAX,
  uncounted: new Set([...healthPaths, ...dashboardPaths]),
  onRequest: () => metrics.requests.inc(),
  onRefused: () => overloadedCount.inc(),
});
metrics.watch(
  'api_requests_in_flight',
  'Requests accepted and not answered yet; health, metrics and the dashboard do not count.',
  admission.inFlight,
);
metrics.watch(
  'api_request_bytes',
  'Memory counted for requests in flight: their bodies and writes too.',
  () => budget.heldBytes,
);
metrics.watch('api_publish_outstanding_bytes', 'Writes that wait for their confirmation.', () => {
  return publisher.outstanding().bytes;
});
metrics.watch(
  'api_publish_outstanding_calls',
  'Publish calls under way.',
  () => publisher.outstanding().calls,
);
metrics.watch('api_reader_cache_age_seconds', 'Age of the ids and counts served.', reader.ageSeconds);
metrics.watch('api_mongodb_operations', 'Reads in MongoDB now.', () => reader.operations().active);
metrics.watch('api_mongodb_operations_limit', 'The most of these reads at once.', () => {
  return config.READ_CONCURRENCY;
});
metrics.watch('api_mongodb_operations_waiting', 'Reads that wait for their turn.', () => {
  return reader.operations().waiting;
});

const server = await listen(admission.listener, {
  host: config.HOST,
  port: config.PORT,
  connectionsMax: config.CONNECTIONS_MAX,
  acceptsPerTurn,
  // The other half is for what the publisher waits for, and for closing the rest.
  closeMs: config.DRAIN_TIMEOUT_MS / 2,
  onRefused(code) {
    metrics.requests.inc();
    onRefused(code);
  },
}).catch((error: Error) => {
  logger.fatal(error.message);
  process.exit(1);
});
isServing = true;

const drainMs = config.DRAIN_DELAY_MS + config.DRAIN_TIMEOUT_MS;
closeWithGrace({ delay: drainMs, logger }, async ({ signal, err }) => {
  // What nobody caught: close-with-grace does not tell of it, and exits 1 afterwards.
  if (err) logger.fatal({ err }, 'failed');
  logger.info({ signal }, 'draining');
  isServing = false;
  admission.drain();
  await new Promise((resolve) => setTimeout(resolve, config.DRAIN_DELAY_MS));
  await dashboard.close();
  await server.close(() => budget.refuseArrivals(draining));
  await publisher.close();
  await reader.close();
  await backlog.close();
  await closeMongoClient(mongo);
  await pubsub.close();
  await tracing?.close();
  logger.info('drained');
});

// Last: whoever waits for this may end it at once.
logger.info({ host: config.HOST, port: server.port }, 'listening');
