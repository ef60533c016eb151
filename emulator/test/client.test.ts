/** The unmodified Node client, over the wire. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Message } from '@google-cloud/pubsub';
import { createFolder } from '../../test/process.ts';
import { until } from '../../test/until.ts';
import { createClient, receive, startEmulator, texts } from './harness.ts';
import { startProcess } from './process.ts';

test('delivers what was published, with its attributes, and forgets it once it is acked', async (context) => {
  const emulator = await startEmulator(context);
  const client = createClient(context, emulator);
  const [topic] = await client.createTopic('orders');
  const [subscription] = await topic.createSubscription('orders-writer');
  const id = await topic.publishMessage({ data: Buffer.from('one'), attributes: { kind: 'test' } });
  const [message] = await receive(subscription, 1);
  assert.equal(message?.id, id);
  assert.equal(message?.data.toString(), 'one');
  assert.deepEqual({ ...message?.attributes }, { kind: 'test' });
  await until(() => emulator.broker.backlog()[0]?.unackedCount === 0);
});

test('takes the attributes of tracing, and no other that begin with goog', async (context) => {
  const client = createClient(context, await startEmulator(context));
  const [topic] = await client.createTopic('orders');
  const publish = (key: string) => topic.publishMessage({ attributes: { [key]: 'value' } });
  for (const key of [
    'googclient_traceparent',
    'googclient_tracestate',
    'googclient_OpenTelemetrySpanContext',
  ]) {
    await publish(key);
  }
  for (const key of [
    'goog',
    'Google',
    'GOOG-key',
    'googclient_',
    'googclient_schemaname',
    'GOOGCLIENT_TRACESTATE',
  ]) {
    await assert.rejects(publish(key), new RegExp(`An attribute key must not begin with goog: ${key}$`));
  }
});

test('delivers after a restart what was confirmed and not acked', async (context) => {
  const dataDir = createFolder();
  const first = await startEmulator(context, { dataDir });
  const before = createClient(context, first);
  const [topic] = await before.createTopic('orders');
  const [subscription] = await topic.createSubscription('orders-writer');
  const all = ['a', 'b', 'c', 'd'];
  await Promise.all(all.map((text) => topic.publishMessage({ data: Buffer.from(text) })));
  const received = await receive(subscription, 4, (message) => {
    if (message.data.toString() < 'c') message.ack();
  });
  assert.deepEqual(texts(received).sort(), all);
  await until(() => first.broker.backlog()[0]?.unackedCount === 2);
  await before.close();
  await first.close();
  const second = await startEmulator(context, { dataDir });
  assert.equal(second.broker.backlog()[0]?.unackedCount, 2);
  const after = createClient(context, second);
  const rest = await receive(after.subscription('orders-writer'), 2);
  assert.deepEqual(texts(rest).sort(), ['c', 'd']);
});

test('leaves no more outstanding than a stream allows, and goes on when one is acked', async (context) => {
  const emulator = await startEmulator(context);
  const client = createClient(context, emulator);
  const [topic] = await client.createTopic('orders');
  await topic.createSubscription('orders-writer');
  for (let number = 0; number < 20; number++) await topic.publishMessage({ data: Buffer.from(`${number}`) });
  const subscription = client.subscription('orders-writer', {
    flowControl: { maxMessages: 5, allowExcessMessages: false },
    streamingOptions: { maxStreams: 1 },
  });
  const held: Message[] = [];
  let received = 0;
  let mostOutstanding = 0;
  subscription.on('message', (message: Message) => {
    received++;
    held.push(message);
    mostOutstanding = Math.max(mostOutstanding, emulator.broker.backlog()[0]?.outstandingCount ?? 0);
    if (held.length === 5) for (const one of held.splice(0)) one.ack();
  });
  await until(() => received === 20);
  assert.ok(mostOutstanding <= 5, `${mostOutstanding} were outstanding`);
  await subscription.close();
});

test('answers publishes before it delivers their messages', async (context) => {
  // In a process of its own: the turns of its event loop are not those of the client.
  const client = createClient(context, await startProcess(context, [`--data-dir=${createFolder()}`]));
  const [topic] = await client.createTopic('orders');
  const [subscription] = await topic.createSubscription('orders-writer');
  const handled = new Set<string>();
  subscription.on('message', (message: Message) => {
    handled.add(message.id);
    message.ack();
  });
  const early: string[] = [];
  for (let number = 0; number < 60; number++) {
    const id = await topic.publishMessage({ data: Buffer.from(`${number}`) });
    if (handled.has(id)) early.push(id);
    await until(() => handled.has(id));
  }
  await subscription.close();
  // A client that is kept from running finds both on its connections, and may read the message first.
  assert.ok(early.length < 30, `${early.length} of 60 were delivered first`);
});

test('delivers again what was nacked', async (context) => {
  const emulator = await startEmulator(context);
  const client = createClient(context, emulator);
  const [topic] = await client.createTopic('orders');
  const [subscription] = await topic.createSubscription('orders-writer');
  await topic.publishMessage({ data: Buffer.from('one') });
  let isFirst = true;
  const messages = await receive(subscription, 2, (message) => {
    if (isFirst) message.nack();
    else message.ack();
    isFirst = false;
  });
  assert.deepEqual(texts(messages), ['one', 'one']);
});
