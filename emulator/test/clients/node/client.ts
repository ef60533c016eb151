/**
 * Runs @google-cloud/pubsub against the emulator at PUBSUB_EMULATOR_HOST. It prints a line for each step, and ends
 * with an error at the first that fails. It wants to be told on stdin that the emulator was killed and started again.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { setTimeout as wait } from 'node:timers/promises';
import {
  type CreateSubscriptionOptions,
  Duration,
  type Message,
  PubSub,
  type Subscription,
  v1,
} from '@google-cloud/pubsub';

const projectId = 'node';
const messageCount = 10_000;
const waitMs = 30_000;

const client = new PubSub({ projectId });
type SubscriberOptions = ConstructorParameters<typeof v1.SubscriberClient>[0];
const subscriber = new v1.SubscriberClient((await client.getClientConfig()) as SubscriberOptions);

const texts = (count: number, prefix = '') =>
  Array.from({ length: count }, (_, number) => `${prefix}${number}`);

async function create(name: string, settings: CreateSubscriptionOptions = {}) {
  const [topic] = await client.createTopic(name);
  const [subscription] = await topic.createSubscription(name, settings);
  topic.setPublishOptions({ messageOrdering: true });
  const publish = (all: string[], attributes = {}) =>
    Promise.all(all.map((text) => topic.publishMessage({ data: Buffer.from(text), attributes })));
  return { topic, subscription, publish };
}

/** Streaming pulls until `close`. */
function open(subscription: Subscription) {
  const messages: Message[] = [];
  const waiting: PromiseWithResolvers<Message>[] = [];
  subscription.on('message', (message: Message) => {
    const next = waiting.shift();
    if (next) next.resolve(message);
    else messages.push(message);
  });
  subscription.on('error', (error: Error) => {
    for (const next of waiting.splice(0)) next.reject(error);
  });
  return {
    async receive(): Promise<Message> {
      const message = messages.shift();
      if (message) return message;
      const next = Promise.withResolvers<Message>();
      waiting.push(next);
      const expire = () => next.reject(new Error(`no message of ${subscription.name} in ${waitMs} ms`));
      const timer = setTimeout(expire, waitMs);
      return next.promise.finally(() => clearTimeout(timer));
    },
    async close() {
      await subscription.close();
      // Not those of the library, which opens the subscription at the next one for 'message'.
      subscription.removeAllListeners('message').removeAllListeners('error');
    },
  };
}

/** Acks so many messages and returns what they say, sorted. */
async function receiveTexts(subscription: Subscription, count: number): Promise<string[]> {
  const stream = open(subscription);
  const received: string[] = [];
  while (received.length < count) {
    const message = await stream.receive();
    received.push(message.data.toString());
    message.ack();
  }
  await stream.close();
  return received.sort();
}

/** Subscription.seek() of 6.3.0 sends a date's milliseconds as microseconds. */
async function seek({ name }: Subscription, timeMs: number): Promise<void> {
  const time = { seconds: Math.floor(timeMs / 1_000), nanos: (timeMs % 1_000) * 1_000_000 };
  await subscriber.seek({ subscription: name, time });
}

/** A seek makes what is unacked deliverable, whether it is outstanding or not. */
async function checkNothingLeft(subscription: Subscription): Promise<void> {
  await seek(subscription, Date.now() - 3_600_000);
  const request = { subscription: subscription.name, maxMessages: 10, returnImmediately: true };
  const [response] = await subscriber.pull(request);
  assert.deepEqual(response.receivedMessages, [], 'is left, though all was acked');
}

async function administer(): Promise<void> {
  const { topic, subscription } = await create('admin', { labels: { team: 'shop' } });
  await assert.rejects(client.createTopic('admin'), /ALREADY_EXISTS/);
  const [topics] = await client.getTopics({ pageSize: 1 });
  assert.deepEqual(
    topics.map(({ name }) => name),
    [topic.name],
  );
  await subscription.setMetadata({ ackDeadlineSeconds: 42 });
  const [metadata] = await subscription.getMetadata();
  assert.equal(metadata.ackDeadlineSeconds, 42);
  assert.deepEqual(metadata.labels, { team: 'shop' });
  await subscription.delete();
  await topic.delete();
  await assert.rejects(topic.getMetadata(), /NOT_FOUND/);
}

async function publishMany(): Promise<void> {
  const { publish } = await create('many');
  const ids = await publish(texts(messageCount));
  assert.equal(new Set(ids).size, messageCount, 'each message has an id of its own');
}

async function receiveMany(): Promise<void> {
  const subscription = client.subscription(`projects/${projectId}/subscriptions/many`);
  const received = await receiveTexts(subscription, messageCount);
  assert.equal(new Set(received).size, messageCount, 'some were delivered twice');
  await checkNothingLeft(subscription);
}

async function sendLarge(): Promise<void> {
  const { subscription, publish } = await create('large');
  const text = 'x'.repeat(9_000_000);
  await publish([text]);
  const [received] = await receiveTexts(subscription, 1);
  assert.ok(received === text, 'not the 9 MB that were published');
}

async function keepOrder(): Promise<void> {
  const { topic, subscription } = await create('ordered', { enableMessageOrdering: true });
  const keys = texts(5, 'key-');
  const publishes = texts(20).flatMap((text) =>
    keys.map((orderingKey) => topic.publishMessage({ data: Buffer.from(text), orderingKey })),
  );
  await Promise.all(publishes);
  const sequences = new Map(keys.map((key) => [key, [] as number[]]));
  const isComplete = (numbers: number[]) =>
    numbers.at(-1) === 19 && numbers.filter((number) => number === 7).length === 2;
  const stream = open(subscription);
  while (![...sequences.values()].every(isComplete)) {
    const message = await stream.receive();
    const sequence = sequences.get(message.orderingKey ?? '') ?? assert.fail('a key that was not published');
    const number = Number(message.data);
    if (number === 7 && !sequence.includes(7)) message.nack();
    else message.ack();
    sequence.push(number);
  }
  await stream.close();
  for (const [key, sequence] of sequences) {
    // A redelivery goes back; nothing ever goes ahead over a gap.
    const isInOrder = sequence.every((number, at) => number <= (sequence[at - 1] ?? -1) + 1);
    assert.ok(isInOrder, `${key}: ${sequence}`);
  }
  await checkNothingLeft(subscription);
}

async function findDeadLetter(): Promise<void> {
  const dead = await create('dead-letters');
  const { subscription, publish } = await create('rejected', {
    deadLetterPolicy: { deadLetterTopic: dead.topic.name, maxDeliveryAttempts: 5 },
  });
  await publish(['poison'], { kind: 'test' });
  const stream = open(subscription);
  for (const attempt of [1, 2, 3, 4, 5]) {
    const message = await stream.receive();
    assert.equal(message.deliveryAttempt, attempt);
    message.nack();
  }
  const deadStream = open(dead.subscription);
  const letter = await deadStream.receive();
  letter.ack();
  await deadStream.close();
  await stream.close();
  const prefix = 'CloudPubSubDeadLetterSource';
  const { [`${prefix}TopicPublishTime`]: published, ...attributes } = letter.attributes;
  assert.match(published ?? '', /Z$/);
  assert.deepEqual(attributes, {
    kind: 'test',
    [`${prefix}DeliveryCount`]: '5',
    [`${prefix}Subscription`]: 'rejected',
    [`${prefix}SubscriptionProject`]: projectId,
  });
  assert.equal(letter.data.toString(), 'poison');
  await checkNothingLeft(subscription);
}

async function replay(): Promise<void> {
  const { subscription, publish } = await create('replayed', { retainAckedMessages: true });
  await subscription.createSnapshot('before');
  const [first, second] = [texts(10, 'first-'), texts(10, 'second-')];
  await publish(first);
  assert.deepEqual(await receiveTexts(subscription, 10), first);
  await publish(second);
  const stream = open(subscription);
  const messages = [];
  while (messages.length < 10) messages.push(await stream.receive());
  for (const message of messages) message.ack();
  await stream.close();
  await seek(subscription, Math.min(...messages.map(({ publishTime }) => publishTime.getTime())));
  assert.deepEqual(await receiveTexts(subscription, 10), second);
  await subscription.seek('before');
  assert.deepEqual(await receiveTexts(subscription, 20), [...first, ...second]);
}

async function confirmAcks(): Promise<void> {
  const { subscription, publish } = await create('exactly-once', { enableExactlyOnceDelivery: true });
  await publish(texts(20));
  const stream = open(subscription);
  const last = await stream.receive();
  const messages = [];
  while (messages.length < 19) messages.push(await stream.receive());
  const answers = await Promise.all(messages.map((message) => message.ackWithResponse()));
  assert.deepEqual([...new Set(answers)], ['SUCCESS']);
  // Purged, so that its ack id is no longer one.
  await seek(subscription, Date.now());
  await assert.rejects(last.ackWithResponse(), { errorCode: 'INVALID' });
  await stream.close();
}

async function waitOutRetryPolicy(): Promise<void> {
  const { subscription, publish } = await create('retried', {
    retryPolicy: { minimumBackoff: { seconds: 1 }, maximumBackoff: { seconds: 2 } },
  });
  await publish(['again']);
  const stream = open(subscription);
  let message = await stream.receive();
  for (let count = 0; count < 2; count++) {
    message.nack();
    const nacked = performance.now();
    message = await stream.receive();
    const waitedMs = performance.now() - nacked;
    assert.ok(waitedMs > 900, `redelivered ${waitedMs} ms after a nack`);
  }
  message.ack();
  await stream.close();
}

async function filter(): Promise<void> {
  const { subscription, publish } = await create('filtered', { filter: 'attributes.kind = "wanted"' });
  for (const text of texts(10)) await publish([text], { kind: Number(text) % 2 ? 'other' : 'wanted' });
  assert.deepEqual(await receiveTexts(subscription, 5), ['0', '2', '4', '6', '8']);
  await checkNothingLeft(subscription);
}

/** A subscriber ends right after a nack, and the next gets the message long before its deadline. */
async function nackAndClose(): Promise<void> {
  const { subscription, publish } = await create('nacked', { ackDeadlineSeconds: 600 });
  await publish(['again']);
  for (let round = 0; round < 5; round++) {
    const closing = client.subscription(subscription.name, {
      minAckDeadline: Duration.from({ seconds: 60 }),
    });
    const stream = open(closing);
    const message = await stream.receive();
    message.nack();
    await stream.close();
  }
  await receiveTexts(subscription, 1);
  await checkNothingLeft(subscription);
}

/** Publishes and receives while the emulator is killed and started again. */
async function surviveRestart(): Promise<void> {
  const { subscription, publish } = await create('restarted');
  const publishes: Promise<string[]>[] = [];
  const publishNext = () => publishes.push(publish([`${publishes.length}`]));
  const received = new Set<string>();
  const stream = open(subscription);
  const take = async () => {
    const message = await stream.receive();
    received.add(message.data.toString());
    message.ack();
  };
  publishNext();
  await take();
  for (let count = 0; count < 100; count++) publishNext();
  let isRestarted = false;
  const restarted = once(process.stdin, 'data', { signal: AbortSignal.timeout(waitMs) }).then(() => {
    isRestarted = true;
    process.stdin.destroy();
  });
  console.log('ready for the restart');
  while (!isRestarted) {
    await Promise.race([restarted, wait(5)]);
    publishNext();
  }
  for (let count = 0; count < 100; count++) publishNext();
  await Promise.all(publishes);
  while (received.size < publishes.length) await take();
  await stream.close();
}

const steps: [() => Promise<void>, string][] = [
  [administer, 'created, listed, updated and deleted'],
  [publishMany, 'published 10000 messages'],
  [receiveMany, 'received 10000 messages, each once, and acked them'],
  [sendLarge, 'published and received 9 MB'],
  [keepOrder, 'kept the order of 5 keys, also after a nack'],
  [findDeadLetter, 'found the dead letter after 5 deliveries'],
  [replay, 'replayed by a seek to a time and to a snapshot'],
  [confirmAcks, 'confirmed the acks of exactly-once delivery'],
  [waitOutRetryPolicy, 'waited out the retry policy'],
  [filter, 'received only what the filter lets through'],
  [nackAndClose, 'received at once what a subscriber nacked while it closed'],
  [surviveRestart, 'lost nothing over the restart'],
];
for (const [run, text] of steps) {
  await run();
  console.log(text);
}
await subscriber.close();
await client.close();
console.log('closed');
