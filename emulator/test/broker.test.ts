/** What the broker promises of each feature, with a fake clock and a folder of its own. */
import assert from 'node:assert/strict';
import { cpSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createFolder } from '../../test/process.ts';
import { until } from '../../test/until.ts';
import { type AckId, ackIdBytes, readAckId, writeAckId } from '../src/broker/ack-id.ts';
import type { Broker } from '../src/broker/broker.ts';
import type { RefusalCode } from '../src/broker/errors.ts';
import { Refusal } from '../src/broker/errors.ts';
import type { Lease } from '../src/broker/lease.ts';
import { bounds } from '../src/broker/limits.ts';
import { MessageIds } from '../src/broker/message.ts';
import { createNeed } from '../src/broker/need.ts';
import type { RegistryState } from '../src/broker/registry.ts';
import type { Subscription } from '../src/broker/subscription.ts';
import type { SubscriptionInput } from '../src/broker/validation.ts';
import { checkAckIds } from '../src/methods/acks.ts';
import { readCheckpoint, writeCheckpoint } from '../src/store/checkpoint.ts';
import { FakeClock } from './fake-clock.ts';
import { openBroker } from './harness.ts';
import { createMessage, type Delivered, Puller, pullNow } from './puller.ts';

const topic = 'projects/project/topics/orders';
const deadTopic = 'projects/project/topics/orders-dead';
const name = 'projects/project/subscriptions/orders-writer';
const deadName = 'projects/project/subscriptions/orders-dead-audit';
const snapshot = 'projects/project/snapshots/before';
const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

interface Setup {
  broker: Broker;
  folder: string;
  clock: FakeClock;
  publish(...messages: Parameters<typeof createMessage>[]): Promise<void>;
  pull(count?: number): Promise<Delivered[]>;
  ack(delivered: Delivered[]): Promise<string[]>;
  nack(delivered: Delivered[]): void;
}

async function setUp(
  context: TestContext,
  settings: Partial<SubscriptionInput> = {},
  retentionMs?: number,
  clock = new FakeClock(),
) {
  const folder = createFolder();
  const broker = await openBroker(folder, { clock });
  context.after(() => broker.close());
  await broker.topics.create({ name: topic, retentionMs });
  await broker.topics.create({ name: deadTopic });
  await broker.subscriptions.create({ name: deadName, topic: deadTopic });
  await broker.subscriptions.create({ name, topic, ...settings });
  return {
    broker,
    folder,
    clock,
    async publish(...messages) {
      await broker.publish(
        topic,
        messages.map((message) => createMessage(...message)),
      );
    },
    pull: (count = 100) => pullNow(broker, name, count),
    async ack(delivered) {
      const outcomes = broker.subscriptions.get(name).acknowledge(delivered.map(({ id }) => id));
      await broker.acksCommitted();
      return outcomes;
    },
    nack: (delivered) => nack(broker, delivered),
  } satisfies Setup;
}

function nack(broker: Broker, delivered: Delivered[]): void {
  broker.subscriptions.get(name).modifyDeadlines(
    delivered.map(({ id }) => id),
    () => 0,
  );
}

/** A broker on what a kill -9 leaves behind now. */
async function openKilled(context: TestContext, { folder, clock }: Pick<Setup, 'folder' | 'clock'>) {
  const killed = createFolder();
  cpSync(folder, killed, { recursive: true });
  const broker = await openBroker(killed, { clock });
  context.after(() => broker.close());
  return broker;
}

function refusal(code: RefusalCode, text: string | RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof Refusal, String(error));
    assert.equal(error.code, code);
    if (typeof text === 'string') assert.equal(error.message, text);
    else assert.match(error.message, text);
    return true;
  };
}

const textsOf = (delivered: Delivered[]) => delivered.map(({ text }) => text);
const attemptsOf = (delivered: Delivered[]) => delivered.map(({ text, attempts }) => [text, attempts]);

test('delivers again within 20 ms of the ack deadline, and not before', async (context) => {
  const { clock, publish, pull } = await setUp(context);
  await publish(['one']);
  assert.deepEqual(textsOf(await pull()), ['one']);
  clock.advance(9_999);
  assert.deepEqual(await pull(), []);
  clock.advance(21);
  assert.deepEqual(textsOf(await pull()), ['one']);
});

test('takes a late ack of a message that was not delivered again, and ignores one that was replaced', async (context) => {
  const { broker, clock, publish, pull, ack } = await setUp(context);
  await publish(['one'], ['two']);
  const first = await pull();
  clock.advance(10_020);
  assert.deepEqual(await ack(first.slice(0, 1)), ['ok']);
  const again = await pull();
  assert.deepEqual(textsOf(again), ['two']);
  assert.deepEqual(await ack(first.slice(1)), ['invalid']);
  assert.equal(broker.backlog().find(({ subscription }) => subscription === name)?.unackedCount, 1);
  assert.deepEqual(await ack(again), ['ok']);
});

test('keeps no timer when nothing is outstanding, and one for any number of leases', async (context) => {
  const { broker, clock, publish, pull, ack } = await setUp(context, { expirationMs: null });
  await broker.subscriptions.delete(deadName);
  await publish(...Array.from({ length: 500 }, (_, at): [string] => [`${at}`]));
  const all = [...(await pull(250)), ...(await pull(250))];
  assert.ok(clock.timerCount <= 2, `${clock.timerCount} timers`);
  await ack(all);
  await until(() => {
    clock.advance(minute);
    return clock.timerCount === 0;
  });
});

test('knows no ack id of another folder, of any start and any subscription of that', async (context) => {
  const { publish, pull } = await setUp(context);
  await publish(['late']);
  const late = await pull();
  const { broker, ...other } = await setUp(context);
  await other.publish(['one']);
  const received = await other.pull();
  const subscription = broker.subscriptions.get(name);
  const epoch = broker.epoch;
  const strays = [...late, { ...received[0], id: { ...(received[0]?.id as AckId), epoch: epoch - 1 } }];
  const ids = strays.flatMap(({ id }) => (id ? [id, { ...id, subscription: 99 }] : []));
  assert.doesNotThrow(() => checkAckIds(broker, subscription, ids));
  assert.deepEqual(new Set(subscription.acknowledge(ids)), new Set(['invalid']));
  assert.deepEqual(new Set(subscription.modifyDeadlines(ids, () => 0)), new Set(['invalid']));
  assert.deepEqual(await other.ack(received), ['ok']);
});

test('takes ack ids of the version before, whose starts were counted from 1', async (context) => {
  const setup = await setUp(context);
  const { clock, publish, pull } = setup;
  await publish(['old'], ['older'], ['other']);
  const delivered = await pull();
  const folder = createFolder();
  cpSync(setup.folder, folder, { recursive: true });
  await (await openBroker(folder, { clock })).close();
  const { version: _, ...checkpoint } = readCheckpoint(folder) ?? assert.fail('there is no checkpoint');
  const { firstEpoch, countedEpochs, ...state } = checkpoint.state as RegistryState;
  assert.equal(countedEpochs, 0);
  await writeCheckpoint(folder, { ...checkpoint, state: { ...state, epoch: 3 } });
  const updated = await openBroker(folder, { clock });
  const [two, three, four] = [2, 3, 4].map((epoch, at) => {
    const text = Buffer.alloc(ackIdBytes);
    writeAckId({ ...(delivered[at]?.id as AckId), epoch }, text, 0);
    // The first of the five characters of an epoch was not there.
    const older = Buffer.concat([text.subarray(0, 4), text.subarray(5)]);
    return readAckId(older, 0, older.length) as AckId;
  });
  const subscription = updated.subscriptions.get(name);
  assert.deepEqual(subscription.acknowledge([two, three, four] as AckId[]), ['ok', 'ok', 'invalid']);
  await updated.close();
  const again = await openBroker(folder, { clock });
  context.after(() => again.close());
  assert.notEqual(again.epoch, firstEpoch);
  assert.equal(again.epoch, updated.epoch + 1);
  assert.deepEqual(textsOf(await pullNow(again, name, 10)), ['other']);
});

test('gives ids that grow by one digit after 10^11 of a start, and none twice', () => {
  const ids = new MessageIds(() => 12_345_678, 99_999_999_998);
  const texts = [1, 2, 1].map((count) => ids.text(ids.take(count)));
  assert.deepEqual(texts, ['1234567899999999998', '12345678100000000000', '12345678100000000002']);
});

test('waits for the backoff of a retry policy from the first nack on', async (context) => {
  const retryPolicy = { minimumBackoffMs: 1_000, maximumBackoffMs: 3_000 };
  const { clock, publish, pull, nack } = await setUp(context, { retryPolicy });
  await publish(['one']);
  for (const backoffMs of [1_000, 2_000, 3_000, 3_000]) {
    const delivered = await pull();
    assert.equal(delivered.length, 1);
    nack(delivered);
    clock.advance(backoffMs - 1);
    assert.deepEqual(await pull(), []);
    clock.advance(21);
  }
});

for (const isOrdered of [false, true]) {
  test(`forwards to the dead-letter topic at once, with where it comes from${isOrdered ? ', with ordering' : ''}`, async (context) => {
    const deadLetterPolicy = { topic: deadTopic, attemptsMax: 5 };
    const setup = await setUp(context, { deadLetterPolicy, isOrdered });
    await setup.publish(['poison', { key: 'k', attributes: { kind: 'test' } }], ['good', { key: 'k' }]);
    for (let attempt = 1; attempt <= 5; attempt++) {
      const delivered = await setup.pull();
      const poison = delivered.filter(({ text }) => text === 'poison');
      assert.deepEqual(
        poison.map(({ attempts }) => attempts),
        [attempt],
      );
      if (!isOrdered) await setup.ack(delivered.filter(({ text }) => text === 'good'));
      setup.nack(poison);
    }
    let dead: Delivered[] = [];
    await until(async () => {
      dead = await pullNow(setup.broker, deadName, 10);
      return dead.length > 0;
    });
    assert.deepEqual(textsOf(dead), ['poison']);
    const { CloudPubSubDeadLetterSourceTopicPublishTime: time, ...attributes } = dead[0]?.attributes ?? {};
    assert.deepEqual(attributes, {
      kind: 'test',
      CloudPubSubDeadLetterSourceSubscription: 'orders-writer',
      CloudPubSubDeadLetterSourceSubscriptionProject: 'project',
      CloudPubSubDeadLetterSourceDeliveryCount: '5',
    });
    assert.equal(time, '2026-01-01T00:00:00.000Z');
    assert.equal(dead[0]?.key, 'k');
    assert.deepEqual(attemptsOf(await setup.pull()), isOrdered ? [['good', 1]] : []);
  });
}

test('counts no attempt of what waited behind a message of its key, over kill -9 either', async (context) => {
  const deadLetterPolicy = { topic: deadTopic, attemptsMax: 5 };
  const setup = await setUp(context, { deadLetterPolicy, isOrdered: true });
  const { broker, clock, publish, pull, nack } = setup;
  await publish(['poison', { key: 'k' }], ['good', { key: 'k' }]);
  nack((await pull()).slice(0, 1));
  await broker.acksCommitted();
  const killed = await openKilled(context, setup);
  assert.deepEqual(attemptsOf(await pullNow(killed, name, 10)), [
    ['poison', 2],
    ['good', 1],
  ]);
  // A client that ends with the first of them leaves the deadlines of all to pass.
  for (let attempt = 2; attempt <= 5; attempt++) {
    assert.deepEqual(attemptsOf(await pull()), [
      ['poison', attempt],
      ['good', 1],
    ]);
    clock.advance(10_020);
  }
  await until(() => broker.subscriptions.get(name).leases.size === 1);
  assert.deepEqual(attemptsOf(await pull()), [['good', 1]]);
});

/** What a stream holds that has extended the deadline of the first message and ends. */
async function readFirstAndEnd({ broker, publish }: Setup): Promise<Delivered[]> {
  await publish(['1', { key: 'k' }], ['2', { key: 'k' }], ['3', { key: 'k' }]);
  const subscription = broker.subscriptions.get(name);
  const puller = new Puller(broker, 10, 10 * minute);
  subscription.addConsumer(puller);
  await until(() => puller.delivered.length === 3);
  subscription.modifyDeadlines(
    puller.delivered.slice(0, 1).map(({ id }) => id),
    () => 10 * minute,
  );
  puller.isClosed = true;
  subscription.removeConsumer(puller);
  subscription.forsake(puller);
  return puller.delivered;
}

test('takes back what a stream has not read 250 ms after its end, which was no attempt and knows no backoff', async (context) => {
  const deadLetterPolicy = { topic: deadTopic, attemptsMax: 5 };
  const retryPolicy = { minimumBackoffMs: minute, maximumBackoffMs: minute };
  const setup = await setUp(context, { deadLetterPolicy, retryPolicy });
  const held = await readFirstAndEnd(setup);
  setup.clock.advance(249);
  assert.deepEqual(await setup.pull(), []);
  assert.deepEqual(await setup.ack(held.slice(2)), ['ok']);
  setup.clock.advance(21);
  assert.deepEqual(attemptsOf(await setup.pull()), [['2', 1]]);
});

test('takes back in the order of its key what a stream has not read', async (context) => {
  const setup = await setUp(context, { isOrdered: true });
  const [first] = (await readFirstAndEnd(setup)) as [Delivered];
  setup.clock.advance(270);
  assert.deepEqual(await setup.pull(), []);
  assert.deepEqual(await setup.ack([first]), ['ok']);
  assert.deepEqual(attemptsOf(await setup.pull()), [
    ['2', 1],
    ['3', 1],
  ]);
});

test('takes nothing back before its deadline under exactly-once delivery', async (context) => {
  const setup = await setUp(context, { isExactlyOnce: true });
  await readFirstAndEnd(setup);
  setup.clock.advance(10 * minute - 1);
  assert.deepEqual(await setup.pull(), []);
});

test('holds a nacked message back for 50 ms while there is a consumer, which may be about to go', async (context) => {
  const { broker, clock, publish, nack, pull } = await setUp(context);
  await publish(['one']);
  const subscription = broker.subscriptions.get(name);
  const puller = new Puller(broker, 10);
  subscription.addConsumer(puller);
  await until(() => puller.delivered.length === 1);
  nack(puller.delivered);
  clock.advance(49);
  puller.isClosed = true;
  subscription.removeConsumer(puller);
  assert.deepEqual(await pull(), []);
  clock.advance(21);
  const again = await pull();
  assert.deepEqual(textsOf(again), ['one']);
  nack(again);
  assert.deepEqual(textsOf(await pull()), ['one']);
});

test('delivers again what follows a nacked message of its key, acked or not, the same after kill -9', async (context) => {
  const setup = await setUp(context, { isOrdered: true });
  await setup.publish(['1', { key: 'k' }], ['2', { key: 'k' }], ['3', { key: 'k' }]);
  const delivered = await setup.pull();
  const killed = await openKilled(context, setup);
  const subscription = killed.subscriptions.get(name);
  const ids = delivered.map(({ id }) => id);
  assert.deepEqual(await setup.ack(delivered.slice(2)), ['ok']);
  setup.nack(delivered.slice(0, 1));
  assert.deepEqual(textsOf(await setup.pull()), ['1', '2', '3']);
  assert.deepEqual(subscription.acknowledge(ids.slice(2)), ['ok']);
  assert.deepEqual(textsOf(await pullNow(killed, name, 10)), ['1', '2', '3']);
});

test('takes late acks of ordered messages in any order, and of one key without the other', async (context) => {
  const setup = await setUp(context, { isOrdered: true });
  await setup.publish(['a1', { key: 'a' }], ['b1', { key: 'b' }], ['a2', { key: 'a' }], ['b2', { key: 'b' }]);
  const delivered = await setup.pull();
  const ids = delivered.map(({ id }) => id);
  const [one, other] = [await openKilled(context, setup), await openKilled(context, setup)];
  one.subscriptions.get(name).acknowledge([...ids].reverse());
  assert.equal(one.subscriptions.get(name).unackedCount, 0);
  other.subscriptions.get(name).acknowledge(ids.filter((_, at) => at % 2 === 1));
  assert.deepEqual(textsOf(await pullNow(other, name, 10)), ['a1', 'a2']);
  assert.equal(other.subscriptions.get(name).unackedCount, 2);
});

test('forgets the delivery attempts of messages that are past their retention, read again or not', async (context) => {
  const deadLetterPolicy = { topic: deadTopic, attemptsMax: 5 };
  const setup = await setUp(context, { deadLetterPolicy, retentionMs: 10 * minute });
  await setup.publish(['one'], ['two']);
  await setup.pull();
  await setup.broker.acksCommitted();
  const killed = await openKilled(context, setup);
  const { leases } = killed.subscriptions.get(name);
  assert.equal(leases.attempts().length, 2);
  setup.clock.advance(11 * minute);
  await killed.sweep();
  assert.deepEqual(leases.attempts(), []);
  const other = await openKilled(context, setup);
  assert.equal(other.subscriptions.get(name).leases.attempts().length, 2);
  assert.deepEqual(await pullNow(other, name, 10), []);
  assert.deepEqual(other.subscriptions.get(name).leases.attempts(), []);
});

test('gives the folder back when it cannot be opened to the end', async () => {
  const folder = createFolder();
  const clock = new FakeClock();
  clock.wakeIn = () => {
    throw new Error('no timer is to be had');
  };
  await assert.rejects(openBroker(folder, { clock }), /no timer is to be had/);
  await (await openBroker(folder)).close();
});

/** 100 messages that are delivered for the last time. */
async function deliverToTheLast(broker: Broker): Promise<Delivered[]> {
  await broker.publish(
    topic,
    Array.from({ length: 100 }, (_, number) => createMessage(`${number}`)),
  );
  for (let attempt = 1; attempt < 5; attempt++) nack(broker, await pullNow(broker, name, 100));
  return pullNow(broker, name, 100);
}

test('forwards nothing that is acked while it waits for its turn', async (context) => {
  const setup = await setUp(context, { deadLetterPolicy: { topic: deadTopic, attemptsMax: 5 } });
  const { broker, clock, publish, pull, ack } = setup;
  const last = await deliverToTheLast(broker);
  clock.advance(10_020);
  await ack(last);
  await publish(['later']);
  for (let attempt = 1; attempt <= 5; attempt++) setup.nack(await pull());
  const dead: string[] = [];
  await until(async () => {
    dead.push(...textsOf(await pullNow(broker, deadName, 1_000)));
    return dead.includes('later');
  });
  assert.ok(dead.length <= 8 + 1, `${dead.length} were forwarded`);
});

test('has in the one topic or the other what waits to be forwarded when it closes', async (context) => {
  const setup = await setUp(context, { deadLetterPolicy: { topic: deadTopic, attemptsMax: 5 } });
  const folder = createFolder();
  cpSync(setup.folder, folder, { recursive: true });
  const broker = await openBroker(folder);
  nack(broker, await deliverToTheLast(broker));
  await broker.close();
  const again = await openBroker(folder);
  context.after(() => again.close());
  const dead = textsOf(await pullNow(again, deadName, 1_000));
  const kept = textsOf(await pullNow(again, name, 1_000));
  assert.ok(dead.length <= 8, `${dead.length} were forwarded`);
  assert.equal(new Set([...dead, ...kept]).size, 100);
});

test('delivers a large message again although small ones wait that would take its room', async (context) => {
  const retryPolicy = { minimumBackoffMs: 1_000, maximumBackoffMs: 1_000 };
  const { broker, clock, publish, ack, nack } = await setUp(context, { retryPolicy });
  const small = 'x'.repeat(950);
  await publish(
    ['x'.repeat(5_000)],
    ...Array.from({ length: 50 }, (_, number): [string] => [`${number} ${small}`]),
  );
  const puller = new Puller(broker, 100, 10 * minute, 6_500);
  broker.subscriptions.get(name).addConsumer(puller);
  await until(() => puller.delivered.length === 2);
  nack(puller.delivered.slice(0, 1));
  await until(() => puller.delivered.length === 7);
  clock.advance(1_020);
  for (const one of puller.delivered.slice(1)) await ack([one]);
  await until(() => puller.delivered.length > 7);
  assert.equal(puller.delivered[7]?.text.length, 5_000);
  await until(() => puller.delivered.length > 8);
  assert.match(puller.delivered[8]?.text ?? '', /^6 /);
});

test('delivers the backlog in turns with messages that are nacked again and again', async (context) => {
  const { broker, publish, ack } = await setUp(context);
  await publish(...Array.from({ length: 20 }, (): [string] => ['poison']), ['good'], ['good']);
  const puller = new Puller(broker, 4);
  broker.subscriptions.get(name).addConsumer(puller);
  const good: Delivered[] = [];
  for (let count = 0; good.length < 2; count++) {
    await until(() => puller.delivered.length > count);
    const one = puller.delivered[count] as Delivered;
    if (one.text === 'poison') nack(broker, [one]);
    else good.push(one);
    assert.ok(count < 100, 'the backlog has no turn');
  }
  assert.deepEqual(await ack(good), ['ok', 'ok']);
});

test('counts with what a stream has outstanding a message that it extends after its deadline', async (context) => {
  const retryPolicy = { minimumBackoffMs: 1_000, maximumBackoffMs: 1_000 };
  const { broker, clock, publish, ack } = await setUp(context, { retryPolicy });
  const subscription = broker.subscriptions.get(name);
  await publish(['one'], ['two'], ['three']);
  const puller = new Puller(broker, 1);
  subscription.addConsumer(puller);
  await until(() => puller.delivered.length === 1);
  clock.advance(10_020);
  await until(() => puller.delivered.length === 2);
  const [one, two] = puller.delivered as [Delivered, Delivered];
  assert.deepEqual(
    subscription.modifyDeadlines([one.id], () => hour),
    ['ok'],
  );
  await ack([two]);
  const settled = puller.settled();
  subscription.wake();
  await settled;
  assert.deepEqual(textsOf(puller.delivered), ['one', 'two']);
  await ack([one]);
  await until(() => puller.delivered.length === 3);
});

test('delivers the next of a key when the one before it is past the retention', async (context) => {
  const retryPolicy = { minimumBackoffMs: 10 * minute, maximumBackoffMs: 10 * minute };
  const setup = await setUp(context, { isOrdered: true, retentionMs: 10 * minute, retryPolicy });
  const { broker, clock, publish, nack } = setup;
  await publish(['old', { key: 'k' }]);
  clock.advance(minute);
  const puller = new Puller(broker, 10);
  broker.subscriptions.get(name).addConsumer(puller);
  await until(() => puller.delivered.length === 1);
  nack(puller.delivered);
  await publish(['new', { key: 'k' }]);
  clock.advance(9 * minute + 1);
  await broker.sweep();
  await until(() => puller.delivered.length === 2);
});

test('keeps the backoff of a retry policy when the dead-letter topic is gone', async (context) => {
  const deadLetterPolicy = { topic: deadTopic, attemptsMax: 5 };
  const retryPolicy = { minimumBackoffMs: 1_000, maximumBackoffMs: 1_000 };
  const { broker, clock, publish, pull, nack } = await setUp(context, { deadLetterPolicy, retryPolicy });
  await broker.topics.delete(deadTopic);
  await publish(['poison']);
  for (let attempt = 1; attempt <= 7; attempt++) {
    const delivered = await pull();
    assert.deepEqual(
      delivered.map(({ attempts }) => attempts),
      [attempt],
    );
    nack(delivered);
    await until(() => [...broker.subscriptions.get(name).leases.values()][0]?.state !== 'forwarding');
    assert.deepEqual(await pull(), []);
    clock.advance(1_020);
  }
});

test('under exactly-once delivery says which acks do not count', async (context) => {
  const { clock, publish, pull, ack, nack } = await setUp(context, { isExactlyOnce: true });
  await publish(['one'], ['two']);
  const first = await pull();
  assert.deepEqual(await ack(first.slice(0, 1)), ['ok']);
  assert.deepEqual(await ack(first.slice(0, 1)), ['invalid']);
  nack(first.slice(1));
  assert.deepEqual(await ack(first.slice(1)), ['invalid']);
  const again = await pull();
  clock.advance(10_020);
  assert.deepEqual(textsOf(await pull()), ['two']);
  assert.deepEqual(await ack(again), ['invalid']);
});

test('gives a key to one of two streams, and other keys to the other', async (context) => {
  const { broker, publish } = await setUp(context, { isOrdered: true });
  const subscription = broker.subscriptions.get(name);
  const pullers = [new Puller(broker, 100), new Puller(broker, 100)];
  for (const puller of pullers) subscription.addConsumer(puller);
  for (let round = 0; round < 60; round++) await publish([`${round}`, { key: `key-${round % 3}` }]);
  const deliveredCount = () => pullers.reduce((sum, { delivered }) => sum + delivered.length, 0);
  await until(() => deliveredCount() === 60);
  for (const key of ['key-0', 'key-1', 'key-2']) {
    const holders = pullers.filter(({ delivered }) => delivered.some((one) => one.key === key));
    assert.equal(holders.length, 1);
    const numbers =
      holders[0]?.delivered.filter((one) => one.key === key).map(({ text }) => Number(text)) ?? [];
    assert.deepEqual(
      numbers,
      numbers.toSorted((a, b) => a - b),
    );
  }
});

test('delivers what a filter lets through', async (context) => {
  const filter = 'attributes.kind = "a" AND NOT attributes:skip';
  const { broker, publish, pull } = await setUp(context, { filter });
  await publish(['one', { attributes: { kind: 'a' } }], ['two', { attributes: { kind: 'b' } }], ['three']);
  await publish(['four', { attributes: { kind: 'a', skip: '' } }], ['five', { attributes: { kind: 'a' } }]);
  const unackedCount = () => broker.backlog().find(({ subscription }) => subscription === name)?.unackedCount;
  assert.equal(unackedCount(), 2, 'what is left out is no backlog, with nobody to deliver to either');
  const delivered = await pull();
  assert.deepEqual(textsOf(delivered), ['one', 'five']);
  assert.equal(unackedCount(), 2);
});

test('refuses a filter with the position of what does not fit', async (context) => {
  const { broker } = await setUp(context);
  const create = (filter: string) => broker.subscriptions.create({ name: `${name}-2`, topic, filter });
  await assert.rejects(
    create('attributes.a = b'),
    refusal('INVALID_ARGUMENT', /b was not expected at position 15/),
  );
  await assert.rejects(
    create('attributes:a AND'),
    refusal('INVALID_ARGUMENT', /the end was not expected at position 16/),
  );
  await assert.rejects(create('(attributes:a'), refusal('INVALID_ARGUMENT', /the end was not expected/));
  await assert.rejects(
    create('attributes:a AND attributes:b OR attributes:c'),
    refusal('INVALID_ARGUMENT', /parentheses/),
  );
  await assert.rejects(create(`attributes:${'a'.repeat(246)}`), refusal('INVALID_ARGUMENT', /at most 256/));
  await assert.rejects(
    create('attributes.a = "b\\U00110000"'),
    refusal('INVALID_ARGUMENT', /\\U00110000 was not expected at position 17/),
  );
  await create(
    'hasPrefix(attributes."x/y", "a\\u0062\\U0010FFFF") OR (attributes.b != "1" AND -attributes:c)',
  );
});

test('goes back to a snapshot: what was unacked then, and all that came since', async (context) => {
  const { broker, publish, pull, ack } = await setUp(context);
  await publish(['a'], ['b'], ['c']);
  const [a, ...rest] = await pull();
  await ack(a ? [a] : []);
  const settings = await broker.snapshots.create({ name: snapshot, subscription: name });
  assert.equal(settings.topic, topic);
  await ack(rest);
  await publish(['d']);
  await ack(await pull());
  assert.deepEqual(await pull(), []);
  await broker.seek.toSnapshot(name, snapshot);
  assert.deepEqual(textsOf(await pull()), ['b', 'c', 'd']);
  await assert.rejects(
    broker.seek.toSnapshot(deadName, snapshot),
    refusal('FAILED_PRECONDITION', /they must match in order for Seek work/),
  );
});

test("keeps leases by the time that passed when the machine's time is set", async (context) => {
  for (const jump of [-day, day]) {
    const { clock, publish, pull } = await setUp(context);
    await publish(['one']);
    assert.deepEqual(textsOf(await pull()), ['one']);
    clock.jump(jump);
    clock.advance(9_000);
    assert.deepEqual(await pull(), [], 'delivered again before its deadline');
    clock.advance(1_100);
    assert.deepEqual(textsOf(await pull()), ['one']);
  }
});

test('lets a snapshot live for seven days less the age of its oldest message', async (context) => {
  const { broker, clock, publish } = await setUp(context);
  const { expireTimeMs } = await broker.snapshots.create({ name: snapshot, subscription: name });
  assert.equal(expireTimeMs - clock.now(), 7 * day);
  await publish(['old']);
  clock.advance(3 * day);
  const create = (id: string) =>
    broker.snapshots.create({ name: `projects/project/snapshots/${id}`, subscription: name });
  assert.equal((await create('later')).expireTimeMs - clock.now(), 4 * day);
  clock.advance(4 * day - hour);
  assert.equal((await create('in-time')).expireTimeMs - clock.now(), hour);
  clock.advance(1);
  await assert.rejects(create('late'), refusal('FAILED_PRECONDITION', /would expire within an hour/));
});

test('seeks to a time: forward purges, backward replays what is retained', async (context) => {
  const { broker, clock, publish, pull, ack } = await setUp(context, { retainsAcked: true });
  await publish(['old']);
  clock.advance(minute);
  const between = clock.now();
  await publish(['new']);
  await ack(await pull());
  await broker.seek.toTime(name, between);
  assert.deepEqual(textsOf(await pull()), ['new']);
  await broker.seek.toTime(name, clock.now() + minute);
  assert.deepEqual(await pull(), []);
  await broker.seek.toTime(name, between - 2 * minute);
  assert.deepEqual(textsOf(await pull()), ['old', 'new']);
});

test('does not bring back what was acked and is not retained', async (context) => {
  const { broker, clock, publish, pull, ack } = await setUp(context);
  const start = clock.now();
  await publish(['acked'], ['kept']);
  await ack((await pull()).slice(0, 1));
  await broker.seek.toTime(name, start);
  assert.deepEqual(textsOf(await pull()), ['kept']);
});

test('replays to a subscription what its topic retained before it was created', async (context) => {
  const { broker, clock, publish } = await setUp(context, {}, 10 * minute);
  const start = clock.now();
  await publish(['early']);
  const late = `${name}-late`;
  await broker.subscriptions.create({ name: late, topic });
  assert.deepEqual(await pullNow(broker, late, 10), []);
  await broker.seek.toTime(late, start);
  assert.deepEqual(textsOf(await pullNow(broker, late, 10)), ['early']);
});

test('replays what its topic retains for longer than the subscription does', async (context) => {
  const { broker, clock, publish, pull, ack } = await setUp(context, { retentionMs: 10 * minute }, day);
  const start = clock.now();
  await publish(['acked'], ['unacked']);
  await ack((await pull()).slice(0, 1));
  clock.advance(hour);
  await broker.sweep();
  await broker.seek.toTime(name, start);
  assert.deepEqual(textsOf(await pull()), ['acked', 'unacked']);
});

test('replays what a snapshot kept for longer than the retention of its subscription', async (context) => {
  const { broker, clock, publish, pull, ack } = await setUp(context, { retentionMs: 10 * minute });
  await publish(['one'], ['two']);
  await broker.snapshots.create({ name: snapshot, subscription: name });
  await ack(await pull());
  clock.advance(20 * minute);
  await broker.seek.toSnapshot(name, snapshot);
  await broker.sweep();
  assert.deepEqual(textsOf(await pull(1)), ['one']);
  clock.advance(minute);
  await broker.sweep();
  assert.deepEqual(textsOf(await pull()), ['one', 'two']);
  clock.advance(7 * day);
  await broker.sweep();
  assert.deepEqual(textsOf(await pull()), []);
});

test('delivers after a seek what was in flight meanwhile', async (context) => {
  const { broker, clock, publish, pull } = await setUp(context, {}, hour);
  const published = publish(['in flight']);
  // The commit comes at the end of the turn, which no promise ends.
  while (broker.topics.get(topic).next === 1) await Promise.resolve();
  await broker.seek.toTime(name, clock.now() - minute);
  await published;
  assert.deepEqual(textsOf(await pull()), ['in flight']);
});

test('drops what is older than the retention', async (context) => {
  const { broker, clock, publish, pull } = await setUp(context, { retentionMs: 10 * minute });
  await publish(['old']);
  clock.advance(5 * minute);
  await publish(['new']);
  clock.advance(5 * minute + 1);
  assert.deepEqual(textsOf(await pull()), ['new']);
  await broker.sweep();
  assert.equal(broker.backlog().find(({ subscription }) => subscription === name)?.unackedCount, 1);
});

test('deletes a subscription that nobody used for its expiration, and no other', async (context) => {
  const { broker, clock, pull } = await setUp(context, { expirationMs: 7 * day });
  clock.advance(7 * day - minute);
  await pull();
  clock.advance(6 * day);
  await broker.sweep();
  assert.ok(broker.subscriptions.get(name));
  clock.advance(day + minute);
  await broker.sweep();
  assert.throws(
    () => broker.subscriptions.get(name),
    refusal('NOT_FOUND', 'Resource not found (resource=orders-writer).'),
  );
  assert.ok(broker.subscriptions.get(deadName));
});

test('deletes no subscription after kill -9 that was used, updated or sought within its expiration', async (context) => {
  const setup = await setUp(context, { expirationMs: 7 * day });
  const { broker, clock, folder } = setup;
  // Longer than a segment, so that a checkpoint follows.
  await setup.publish(['x'.repeat(20_000)]);
  await until(() => existsSync(join(folder, 'checkpoint.json')));
  clock.advance(6 * day);
  await broker.subscriptions.update({ name, topic, labels: { used: 'yes' } }, ['labels']);
  clock.advance(6 * day);
  await broker.seek.toTime(name, clock.now());
  clock.advance(6 * day);
  await broker.sweep();
  await setup.pull();
  clock.advance(6 * day);
  const killed = await openKilled(context, setup);
  await killed.sweep();
  assert.ok(killed.subscriptions.get(name));
});

test('needs in a compaction what a snapshot holds that was made meanwhile', async (context) => {
  const { broker, clock, publish, pull, ack } = await setUp(context);
  await publish(['one']);
  const { number } = broker.topics.get(topic);
  const need = createNeed(broker.registry, clock.now());
  await broker.snapshots.create({ name: snapshot, subscription: name });
  await ack(await pull());
  assert.ok(need.has(number, 1, clock.now()));
  await broker.snapshots.delete(snapshot);
  assert.ok(!need.has(number, 1, clock.now()));
});

test('keeps no delivery attempts of what was acked in the run that delivered it', async (context) => {
  const setup = await setUp(context, { deadLetterPolicy: { topic: deadTopic, attemptsMax: 5 } });
  const { broker } = setup;
  const subscription = broker.subscriptions.get(name);
  class AckingPuller extends Puller {
    override take(...taken: [Lease, Buffer, number, number]): void {
      super.take(...taken);
      subscription.acknowledge(this.delivered.slice(-1).map(({ id }) => id));
    }
  }
  const puller = new AckingPuller(broker, 10);
  subscription.addConsumer(puller);
  await setup.publish(['one'], ['two']);
  await until(() => puller.delivered.length === 2);
  await broker.acksCommitted();
  const killed = await openKilled(context, setup);
  assert.deepEqual(killed.subscriptions.get(name).state().attempts, []);
});

test('tells the age of the oldest unacked message among others that are days older', async (context) => {
  const { broker, clock, publish, pull, ack } = await setUp(context);
  for (let passed = 0; passed < 8 * day; passed += hour) {
    clock.advance(hour);
    await publish(['x'.repeat(100)]);
  }
  await ack((await pull(1_000)).slice(0, -1));
  clock.advance(minute);
  const { oldestUnackedSeconds } =
    broker.backlog().find(({ subscription }) => subscription === name) ?? assert.fail();
  assert.equal(oldestUnackedSeconds, 60);
  const { expireTimeMs } = await broker.snapshots.create({ name: snapshot, subscription: name });
  assert.equal(expireTimeMs - clock.now(), 7 * day - minute);
});

test('looks once a minute after what is past its retention in a segment that is not full', async (context) => {
  let timerCount = 0;
  class CountingClock extends FakeClock {
    override wakeIn(delayMs: number, wake: () => void): () => void {
      timerCount++;
      return super.wakeIn(delayMs, wake);
    }
  }
  const { broker, clock, publish } = await setUp(context, {}, 10 * minute, new CountingClock());
  await publish(['old']);
  clock.advance(11 * minute);
  await broker.sweep();
  timerCount = 0;
  for (let passed = 0; passed < 10 * minute; passed += 1_000) {
    clock.advance(1_000);
    await new Promise(setImmediate);
  }
  assert.ok(timerCount >= 9 && timerCount <= 12, `${timerCount} timers in ten minutes`);
});

test('detaches: what it held is gone, and it can be neither pulled nor sought', async (context) => {
  const { broker, publish } = await setUp(context);
  await publish(['one']);
  await broker.snapshots.create({ name: snapshot, subscription: name });
  await broker.subscriptions.detach(name);
  assert.throws(() => broker.subscriptions.pullable(name), refusal('FAILED_PRECONDITION', /detached/));
  await assert.rejects(broker.seek.toTime(name, 0), refusal('FAILED_PRECONDITION', /detached/));
  await assert.rejects(broker.seek.toSnapshot(name, snapshot), refusal('FAILED_PRECONDITION', /detached/));
  assert.equal(broker.backlog().find(({ subscription }) => subscription === name)?.unackedCount, 0);
  assert.deepEqual(broker.topics.listSubscriptions(topic, { pageSize: 0, pageToken: '' }).entries, []);
});

test('delivers nothing more of a deleted subscription, whose streams have room until they are told', async (context) => {
  const { broker, publish } = await setUp(context);
  await publish(['one'], ['two']);
  const subscription = broker.subscriptions.get(name);
  const puller = new Puller(broker, 1);
  subscription.addConsumer(puller);
  await until(() => puller.delivered.length === 1);
  const deleted = broker.subscriptions.delete(name);
  assert.equal(puller.releasedCount, 1);
  subscription.wake();
  await deleted;
  const settled = puller.settled();
  subscription.wake();
  await settled;
  assert.deepEqual(textsOf(puller.delivered), ['one']);
  assert.equal(subscription.leases.size, 0);
});

test('wakes a stream that waits for room in the broker when another subscription has acked', async (context) => {
  const broker = await openBroker(createFolder(), { segmentBytes: 32 * 1024 * 1024 });
  context.after(() => broker.close());
  await broker.topics.create({ name: topic });
  const subscriptions = await Promise.all(
    Array.from({ length: 5 }, async (_, number) => {
      await broker.subscriptions.create({ name: `${name}-${number}`, topic });
      return broker.subscriptions.get(`${name}-${number}`);
    }),
  );
  const messages = Array.from({ length: 1_000 }, () => createMessage('x'));
  const { leasesPerBroker, leasesPerSubscription } = bounds;
  for (let count = 0; count < leasesPerSubscription; count += 1_000) await broker.publish(topic, messages);
  const last = subscriptions.pop() as Subscription;
  assert.equal(subscriptions.length * leasesPerSubscription, leasesPerBroker);
  const pullers = subscriptions.map((subscription) => {
    const puller = new Puller(broker, leasesPerSubscription);
    subscription.addConsumer(puller);
    return puller;
  });
  await until(() => pullers.every(({ delivered }) => delivered.length === leasesPerSubscription));
  const waiting = new Puller(broker, 1);
  const settled = waiting.settled();
  last.addConsumer(waiting);
  await settled;
  assert.deepEqual(waiting.delivered, []);
  subscriptions[0]?.acknowledge([pullers[0]?.delivered[0]?.id as AckId]);
  await until(() => waiting.delivered.length === 1);
});

test('gives the place of what nobody takes to a stream that waits for room in the broker', async (context) => {
  const clock = new FakeClock();
  const broker = await openBroker(createFolder(), { clock, segmentBytes: 32 * 1024 * 1024 });
  context.after(() => broker.close());
  await broker.topics.create({ name: topic });
  await broker.topics.create({ name: deadTopic });
  const { leasesPerSubscription } = bounds;
  const subscribe = async (id: string, settings: Partial<SubscriptionInput>, deadlineMs = 20_000) => {
    await broker.subscriptions.create({ name: `${name}-${id}`, topic, ...settings });
    const puller = new Puller(broker, leasesPerSubscription, deadlineMs);
    return { subscription: broker.subscriptions.get(`${name}-${id}`), puller };
  };
  const deadLetterPolicy = { topic: deadTopic, attemptsMax: 5 };
  const retryPolicy = { minimumBackoffMs: 1_000, maximumBackoffMs: 1_000 };
  const counted = await subscribe('counted', { deadLetterPolicy, isOrdered: true }, 10_000);
  const retried = await subscribe('retried', { retryPolicy }, 10_000);
  const others = [await subscribe('other', {}), await subscribe('another', {})];
  const waiting = await subscribe('waiting', {});
  for (let first = 0; first < leasesPerSubscription; first += 1_000) {
    const numbers = Array.from({ length: 1_000 }, (_, at) => first + at);
    await broker.publish(
      topic,
      numbers.map((number) => createMessage(`${number}`, { key: `key-${number % 2}` })),
    );
  }
  const abandoned = [counted, retried, ...others];
  for (const { subscription, puller } of abandoned) subscription.addConsumer(puller);
  await until(() => abandoned.every(({ puller }) => puller.delivered.length === leasesPerSubscription));
  for (const { subscription, puller } of abandoned) subscription.removeConsumer(puller);
  const puller = new Puller(broker, 1, hour);
  const settled = puller.settled();
  waiting.subscription.addConsumer(puller);
  await settled;
  assert.deepEqual(puller.delivered, []);

  clock.advance(10_020);
  await until(() => puller.delivered.length === 1);
  const sizes = () => abandoned.map(({ subscription }) => subscription.leases.size);
  const all = leasesPerSubscription;
  assert.deepEqual(sizes(), [0, all, all, all], 'a wait for a retry stays');
  clock.advance(1_020);
  assert.deepEqual(sizes(), [0, 0, all, all]);
  clock.advance(10_000);
  assert.deepEqual(sizes().slice(2).sort(), [0, all], 'what is at rest keeps half of the room');

  const [late] = counted.puller.delivered as [Delivered];
  assert.deepEqual(counted.subscription.acknowledge([late.id]), ['invalid']);
  assert.deepEqual(attemptsOf(await pullNow(broker, `${name}-counted`, 4)), [
    ['0', 2],
    ['1', 2],
    ['2', 1],
    ['3', 1],
  ]);
  assert.deepEqual(attemptsOf(await pullNow(broker, `${name}-retried`, 2)), [
    ['0', 2],
    ['1', 2],
  ]);
});

test('keeps what subscriptions of a deleted topic hold', async (context) => {
  const { broker, publish, pull } = await setUp(context);
  await publish(['one']);
  await broker.topics.delete(topic);
  assert.equal(broker.subscriptions.get(name).settings.topic, '_deleted-topic_');
  assert.deepEqual(textsOf(await pull()), ['one']);
  await assert.rejects(publish(['two']), refusal('NOT_FOUND', /^Resource not found/));
});

test('lists in pages, and refuses a token that is none', async (context) => {
  const { broker } = await setUp(context);
  for (let number = 0; number < 5; number++) {
    await broker.topics.create({ name: `projects/project/topics/page-${number}` });
  }
  const names: string[] = [];
  let pageToken = '';
  do {
    const page = broker.topics.list('projects/project', { pageSize: 3, pageToken });
    assert.ok(page.entries.length <= 3);
    names.push(...page.entries.map((entry) => entry.name));
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
  assert.equal(names.length, 7);
  assert.deepEqual(names, names.toSorted());
  assert.throws(
    () => broker.topics.list('projects/project', { pageSize: 3, pageToken: 'nonsense' }),
    refusal('INVALID_ARGUMENT', /page_token/),
  );
});

test('changes what a mask names, and refuses what cannot be changed', async (context) => {
  const { broker } = await setUp(context, { labels: { kept: 'yes' } });
  const update = (paths: string[], input: Partial<SubscriptionInput> = {}) =>
    broker.subscriptions.update({ name, topic, ...input }, paths);
  const updated = await update(['ack_deadline_seconds', 'labels'], {
    ackDeadlineMs: 30_000,
    labels: { changed: 'yes' },
    retainsAcked: true,
  });
  assert.equal(updated.ackDeadlineMs, 30_000);
  assert.deepEqual(updated.labels, { changed: 'yes' });
  assert.equal(updated.retainsAcked, false);
  const bad = 'Invalid update_mask provided in the UpdateSubscriptionRequest:';
  await assert.rejects(
    update([]),
    refusal(
      'INVALID_ARGUMENT',
      'The update_mask in the UpdateSubscriptionRequest must be set, and must contain a non-empty paths list.',
    ),
  );
  await assert.rejects(
    update(['enable_message_ordering']),
    refusal(
      'INVALID_ARGUMENT',
      `${bad} the enable_message_ordering field in the Subscription is not mutable.`,
    ),
  );
  await assert.rejects(
    update(['nonsense']),
    refusal('INVALID_ARGUMENT', /nonsense is not a known Subscription field/),
  );
  await assert.rejects(
    broker.topics.update({ name: 'projects/project/topics/none' }, ['labels']),
    refusal('NOT_FOUND', /^Resource not found/),
  );
});

test('refuses settings out of their bounds, with the texts of the service', async (context) => {
  const { broker } = await setUp(context);
  const create = (input: Partial<SubscriptionInput>) =>
    broker.subscriptions.create({ name: `${name}-2`, topic, ...input });
  const cases: [Partial<SubscriptionInput>, RefusalCode, string | RegExp][] = [
    [{ ackDeadlineMs: 9_000 }, 'INVALID_ARGUMENT', 'ack_deadline_secs out of bounds'],
    [{ ackDeadlineMs: 601_000 }, 'INVALID_ARGUMENT', 'ack_deadline_secs out of bounds'],
    [{ retentionMs: 599_000 }, 'INVALID_ARGUMENT', 'message_retention_duration out of bounds'],
    [
      { name: 'projects/project/subscriptions/ab' },
      'INVALID_ARGUMENT',
      'Invalid [subscriptions] name: (name=projects/project/subscriptions/ab)',
    ],
    [{ topic: 'projects/project/topics/none' }, 'NOT_FOUND', 'Resource not found (resource=none).'],
    [
      { deadLetterPolicy: { topic: 'projects/project/topics/none', attemptsMax: 5 } },
      'NOT_FOUND',
      'Resource not found (resource=none).',
    ],
    [
      { deadLetterPolicy: { topic, attemptsMax: 4 } },
      'OUT_OF_RANGE',
      'The value for max_delivery_attempts is too small. You passed 4 in the request, but the minimum value is 5.',
    ],
    [
      { deadLetterPolicy: { topic, attemptsMax: 101 } },
      'OUT_OF_RANGE',
      'The value for max_delivery_attempts is too large. You passed 101 in the request, but the maximum value is 100.',
    ],
    [
      { retryPolicy: { maximumBackoffMs: 601_000 } },
      'INVALID_ARGUMENT',
      'The value for maximum_backoff is out of bounds. You passed 601s in the request, but the value must be between 0s and 600s.',
    ],
    [
      { retryPolicy: { minimumBackoffMs: 20_000, maximumBackoffMs: 10_000 } },
      'INVALID_ARGUMENT',
      'The value for maximum_backoff is too small. You passed 10s in the request, but the minimum value is 20s.',
    ],
    [{ labels: { 'Bad Key!': 'v' } }, 'INVALID_ARGUMENT', /Invalid label key/],
  ];
  for (const [input, code, text] of cases) await assert.rejects(create(input), refusal(code, text));
  await create({ ackDeadlineMs: 600_000, retentionMs: 600_000 });
  await assert.rejects(create({}), refusal('ALREADY_EXISTS', 'Subscription already exists'));
});

test('takes 1,000 messages a publish, not 1,001 and not none', async (context) => {
  const { broker } = await setUp(context);
  const messages = Array.from({ length: 1_001 }, () => createMessage('x'));
  assert.equal((await broker.publish(topic, messages.slice(1))).length, 1_000);
  await assert.rejects(
    broker.publish(topic, messages),
    refusal('INVALID_ARGUMENT', 'Too many messages to publish'),
  );
  await assert.rejects(broker.publish(topic, []), refusal('INVALID_ARGUMENT', 'No messages to publish'));
});
