/** What is old, and what nobody needs, goes by itself: nobody acks, and nothing is changed. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { createFolder } from '../../test/process.ts';
import { until } from '../../test/until.ts';
import type { BrokerOptions } from '../src/broker/broker.ts';
import { Housekeeping } from '../src/broker/housekeeping.ts';
import type { SubscriptionInput } from '../src/broker/validation.ts';
import type { Store } from '../src/store.ts';
import { FakeClock } from './fake-clock.ts';
import { openBroker } from './harness.ts';
import { createMessage, Puller, pullNow } from './puller.ts';

const topic = 'projects/project/topics/orders';
const deadTopic = 'projects/project/topics/orders-dead';
const name = 'projects/project/subscriptions/orders-writer';
const segmentBytes = 16_384;
const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;
const filler = 'x'.repeat(1_000);

/** A broker whose housekeeping has seen all that there is, with a subscription if `settings` are given. */
async function setUp(
  context: TestContext,
  settings?: Partial<SubscriptionInput>,
  options: Partial<BrokerOptions> = {},
) {
  const folder = createFolder();
  const clock = new FakeClock();
  const broker = await openBroker(folder, { clock, segmentBytes, ...options });
  context.after(() => broker.close());
  await broker.topics.create({ name: topic });
  await broker.topics.create({ name: deadTopic });
  if (settings) await broker.subscriptions.create({ name, topic, expirationMs: null, ...settings });
  const settle = async () => {
    clock.advance(2 * second);
    await broker.sweep();
  };
  await settle();
  const publish = (text: string, key = '') => broker.publish(topic, [createMessage(text, { key })]);
  const logCount = () => readdirSync(folder).filter((file) => file.endsWith('.log')).length;
  return { broker, clock, settle, publish, logCount };
}

/** Each is 5 ms or more for what it has woken: ten times what the longest takes. */
const stepsMax = 2_000;

/** Lets time pass by `stepMs` until `condition` holds. @returns how much that was, ms. */
async function passUntil(clock: FakeClock, stepMs: number, condition: () => boolean): Promise<number> {
  const begin = clock.now();
  let steps = 0;
  await until(() => {
    if (condition()) return true;
    assert.ok(steps++ < stepsMax, 'nothing comes of it');
    clock.advance(stepMs);
    return false;
  });
  return clock.now() - begin;
}

test('takes publishes to a topic without a subscription, however much they are beside the limit of the folder', async (context) => {
  const folderBytesMax = 100_000;
  const { broker, publish } = await setUp(context, undefined, { folderBytesMax });
  // No time passes: what is full gives way at once.
  for (let number = 0; number < 500; number++) await publish(filler);
  assert.ok(broker.storedBytes < folderBytesMax + segmentBytes, `${broker.storedBytes} bytes are kept`);
  await broker.subscriptions.create({ name, topic });
  await assert.rejects(async () => {
    for (;;) await publish(filler);
  }, /over its limit of 100000 bytes/);
});

test('deletes full segments that nobody needs', async (context) => {
  const { clock, publish, logCount } = await setUp(context);
  for (let number = 0; number < 100; number++) await publish(filler);
  assert.ok(logCount() > 5);
  await passUntil(clock, second, () => logCount() === 1);
});

test('deletes full segments of delivery attempts', async (context) => {
  const deadLetterPolicy = { topic: deadTopic, attemptsMax: 100 };
  const { broker, clock, publish, settle, logCount } = await setUp(context, { deadLetterPolicy });
  for (let number = 0; number < 40; number++) await publish(`${number}`);
  await settle();
  for (let attempt = 1; attempt < 90; attempt++) {
    const delivered = await pullNow(broker, name, 100);
    assert.equal(delivered.length, 40);
    broker.subscriptions.get(name).modifyDeadlines(
      delivered.map(({ id }) => id),
      () => 0,
    );
    await broker.acksCommitted();
  }
  assert.ok(logCount() > 3);
  // That of the messages, and the one in use.
  await passUntil(clock, second, () => logCount() === 2);
});

test('drops what is past the retention of a subscription that nobody consumes', async (context) => {
  const { broker, clock, publish } = await setUp(context, { retentionMs: 10 * minute });
  clock.advance(hour);
  await publish('old');
  const passedMs = await passUntil(clock, minute, () => broker.backlog()[0]?.unackedCount === 0);
  assert.ok(passedMs >= 10 * minute && passedMs < hour, `after ${passedMs} ms`);
});

test('deletes a subscription that its last consumer left for its expiration', async (context) => {
  const { broker, clock, settle } = await setUp(context, { expirationMs: 7 * day });
  const subscription = broker.subscriptions.get(name);
  const puller = new Puller(broker, 1);
  subscription.addConsumer(puller);
  // Longer than the expiration.
  clock.advance(8 * day);
  await settle();
  subscription.removeConsumer(puller);
  const passedMs = await passUntil(clock, hour, () => !broker.registry.subscriptions.has(name));
  assert.ok(passedMs >= 7 * day && passedMs < 8 * day, `after ${passedMs} ms`);
});

test('delivers what follows in its ordering key a message that is past its retention', async (context) => {
  const retryPolicy = { minimumBackoffMs: 10 * minute, maximumBackoffMs: 10 * minute };
  const settings = { isOrdered: true, retentionMs: 10 * minute, retryPolicy };
  const { broker, clock, publish } = await setUp(context, settings);
  const subscription = broker.subscriptions.get(name);
  await publish('old', 'key');
  clock.advance(5 * minute);
  await publish('next', 'key');
  const puller = new Puller(broker, 10, hour);
  subscription.addConsumer(puller);
  await until(() => puller.delivered.length === 2);
  subscription.modifyDeadlines(
    puller.delivered.slice(0, 1).map(({ id }) => id),
    () => 0,
  );
  clock.advance(6 * minute);
  await broker.sweep();
  await passUntil(clock, 0, () => puller.delivered.length === 3);
  assert.equal(puller.delivered[2]?.text, 'next');
});

test('goes on after a run that could not read the disk', async (context) => {
  const { broker } = await setUp(context, { retentionMs: hour });
  await broker.publish(topic, [createMessage('one')]);
  const clock = new FakeClock();
  let reads = 0;
  let runs = 0;
  const store = {
    timeOf() {
      // That of the first run which looks for what is due next.
      if (++reads === 2) throw new Error('EIO: i/o error, read');
      return undefined;
    },
    reclaim: async () => {
      runs++;
      return Number.POSITIVE_INFINITY;
    },
  };
  const errors: string[] = [];
  const housekeeping = new Housekeeping({
    store: store as unknown as Store,
    registry: broker.registry,
    clock,
    change() {},
    onFailure: ({ message }) => errors.push(message),
  });
  context.after(() => housekeeping.close());
  await housekeeping.run();
  assert.deepEqual([errors, runs], [['EIO: i/o error, read'], 1]);
  clock.advance(minute);
  await until(() => runs === 2);
  await housekeeping.run();
  assert.equal(runs, 3);
});
