/**
 * Publishes documents as the api does under the load of many users, and ends when the broker has confirmed them.
 *
 *   PUBSUB_EMULATOR_HOST=127.0.0.1:8085 node stress-test/bench/fill.ts 1000000
 */
import { createWrites, writesPerRequest } from '@assessment/api/envelope';
import { readEnvironmentOrExit, sharedVariables } from '@assessment/api/environment';
import { names } from '@assessment/api/names';
import { createPublisher } from '@assessment/api/publisher';
import { createPubSub, openTopic } from '@assessment/api/pubsub';
import { z } from 'zod';
import { Budget } from '../../api/src/budget.ts';
import { configSchema } from '../../api/src/config.ts';

const users = 256;
const timeoutMs = 60_000;

const defaults = configSchema.shape;
const { PUBSUB_EMULATOR_HOST, PUBSUB_PROJECT_ID } = sharedVariables;
const pubsub = createPubSub(readEnvironmentOrExit(z.object({ PUBSUB_EMULATOR_HOST, PUBSUB_PROJECT_ID })));
const topic = openTopic(pubsub, names.topic, { timeoutMs });
const publisher = createPublisher((data) => topic.publishMessage({ data }), {
  timeoutMs,
  concurrency: defaults.PUBLISH_CONCURRENCY.parse(undefined),
  intervalMs: defaults.PUBLISH_INTERVAL_MS.parse(undefined),
  envelopeWritesMax: defaults.ENVELOPE_WRITES_MAX.parse(undefined),
  budget: new Budget(defaults.REQUEST_BYTES_MAX.parse(undefined)),
});
let left = Number(process.argv[2]) / writesPerRequest;
await Promise.all(
  Array.from({ length: users }, async () => {
    while (left-- > 0) await publisher.publish(createWrites(new Date()));
  }),
);
await pubsub.close();
