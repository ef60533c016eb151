/** Unary Pull: when it is answered, and with how much. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { createFolder } from '../../test/process.ts';
import { until } from '../../test/until.ts';
import type { Broker } from '../src/broker/broker.ts';
import { pull } from '../src/methods/pull.ts';
import { encodeField } from '../src/protobuf.ts';
import { openBroker } from './harness.ts';
import { pullRequest, readPulled } from './process.ts';
import { createMessage, Puller } from './puller.ts';

const topic = 'projects/project/topics/orders';
const name = 'projects/project/subscriptions/orders-writer';

async function setUp(context: TestContext, messageCount: number): Promise<Broker> {
  const broker = await openBroker(createFolder(), { segmentBytes: 1_000_000 });
  context.after(() => broker.close());
  await broker.topics.create({ name: topic });
  await broker.subscriptions.create({ name, topic, ackDeadlineMs: 600_000 });
  for (let published = 0; published < messageCount; published += 100) {
    await broker.publish(
      topic,
      Array.from({ length: 100 }, () => createMessage('x'.repeat(1_000))),
    );
  }
  return broker;
}

async function pullUpTo(broker: Broker, count: number): Promise<number> {
  const call = { deadlineMs: undefined, onCancel: undefined };
  return readPulled(await pull(broker)(pullRequest(name, count), call)).length;
}

test('is answered when it is full, while others still take from the backlog', async (context) => {
  const broker = await setUp(context, 2_000);
  const puller = new Puller(broker, 10_000);
  broker.subscriptions.get(name).addConsumer(puller);
  assert.equal(await pullUpTo(broker, 1), 1);
  assert.ok(puller.delivered.length < 1_000, `after ${puller.delivered.length} others`);
});

test('is filled before the next one begins to fill', async (context) => {
  const broker = await setUp(context, 300);
  const counts = await Promise.all([pullUpTo(broker, 200), pullUpTo(broker, 200)]);
  assert.deepEqual(counts, [200, 100]);
});

test('waits for half of its deadline where that is less than a second away', async (context) => {
  const broker = await setUp(context, 0);
  const request = Buffer.concat([encodeField(1, name), Buffer.from([3 << 3, 1])]);
  const begin = performance.now();
  const response = await pull(broker)(request, { deadlineMs: Date.now() + 1_000, onCancel: undefined });
  const waitedMs = performance.now() - begin;
  assert.equal(response.length, 0);
  assert.ok(waitedMs > 400, `waited for ${waitedMs} ms`);
});

test('leaves nothing of its response behind while its messages are outstanding', async (context) => {
  const broker = await setUp(context, 20_000);
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;
  const bytesNow = () => {
    collectGarbage();
    return process.memoryUsage().arrayBuffers;
  };
  const bytes = bytesNow();
  for (let pulled = 0; pulled < 20_000; pulled += 1_000) assert.equal(await pullUpTo(broker, 1_000), 1_000);
  assert.equal(broker.subscriptions.get(name).leases.outstandingCount, 20_000);
  // The responses were of 20 MB together, in buffers of 40; windows of the log that are used again are 2.
  await until(() => bytesNow() - bytes < 10e6);
});
