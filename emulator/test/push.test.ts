/** Push subscriptions: real requests to a real HTTP server. https://cloud.google.com/pubsub/docs/push */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import { createFolder } from '../../test/process.ts';
import { until } from '../../test/until.ts';
import type { Emulator } from '../src/emulator.ts';
import { createClient, startEmulator } from './harness.ts';

interface Pushed {
  headers: IncomingHttpHeaders;
  /** Names and values in turn, also those that no object takes. */
  rawHeaders: string[];
  body: string;
  /** Of a wrapped message. */
  text: string;
  deliveryAttempt: number | undefined;
}

interface Endpoint {
  url: string;
  port: number;
  pushed: Pushed[];
  mostAtOnce: number;
  close(): Promise<void>;
}

type Answer = (response: ServerResponse, pushed: Pushed) => void;

const answerWith = (status: number) => (response: ServerResponse) => response.writeHead(status).end();

/** Collects what is pushed and answers it. */
async function startEndpoint(
  context: TestContext,
  answer: Answer = answerWith(204),
  wanted = 0,
): Promise<Endpoint> {
  let underWay = 0;
  const server: Server = createServer(async (request, response) => {
    endpoint.mostAtOnce = Math.max(endpoint.mostAtOnce, ++underWay);
    response.on('close', () => underWay--);
    let body = '';
    for await (const piece of request) body += piece;
    const { headers, rawHeaders } = request;
    const pushed = { headers, rawHeaders, body, ...unwrap(body) };
    endpoint.pushed.push(pushed);
    answer(response, pushed);
  });
  server.listen(wanted, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const endpoint: Endpoint = {
    url: `http://127.0.0.1:${port}/push`,
    port,
    pushed: [],
    mostAtOnce: 0,
    async close() {
      if (!server.listening) return;
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  context.after(() => endpoint.close());
  return endpoint;
}

function unwrap(body: string): { text: string; deliveryAttempt: number | undefined } {
  try {
    const { message, deliveryAttempt } = JSON.parse(body);
    return { text: Buffer.from(message.data ?? '', 'base64').toString(), deliveryAttempt };
  } catch {
    return { text: '', deliveryAttempt: undefined };
  }
}

const textsOf = ({ pushed }: Endpoint) => pushed.map(({ text }) => text);
const unackedOf = (emulator: Emulator) =>
  emulator.broker.backlog().find(({ subscription }) => subscription.endsWith('/pushed'))?.unackedCount;

async function setUp(context: TestContext, url: string, settings: object = {}, dataDir = createFolder()) {
  const emulator = await startEmulator(context, { dataDir });
  const client = createClient(context, emulator);
  const [topic] = await client.createTopic('orders');
  const pushConfig = { pushEndpoint: url };
  const [subscription] = await client.createSubscription(topic, 'pushed', { pushConfig, ...settings });
  return { emulator, client, topic, subscription };
}

test('posts a message as the documentation shows it', async (context) => {
  const endpoint = await startEndpoint(context);
  const { emulator, topic } = await setUp(context, endpoint.url, { enableMessageOrdering: true });
  topic.setPublishOptions({ messageOrdering: true });
  const id = await topic.publishMessage({
    data: Buffer.from('Hello'),
    attributes: { key: 'value' },
    orderingKey: 'some-key',
  });
  await until(() => endpoint.pushed.length === 1);
  const [pushed] = endpoint.pushed;
  const body = JSON.parse(pushed?.body ?? '');
  const publishTime = body.message.publishTime;
  assert.ok(Math.abs(Date.parse(publishTime) - Date.now()) < 60_000);
  assert.deepEqual(body, {
    message: {
      attributes: { key: 'value' },
      data: 'SGVsbG8=',
      messageId: id,
      message_id: id,
      orderingKey: 'some-key',
      publishTime,
      publish_time: publishTime,
    },
    subscription: 'projects/project/subscriptions/pushed',
  });
  assert.equal(pushed?.headers['content-type'], 'application/json');
  await until(() => unackedOf(emulator) === 0);
});

test('posts the data alone without the wrapper, and metadata as headers when asked', async (context) => {
  const endpoint = await startEndpoint(context);
  const { client, topic } = await setUp(context, endpoint.url, {
    pushConfig: { pushEndpoint: endpoint.url, noWrapper: { writeMetadata: true } },
  });
  const attributes = {
    ...{ 'x-kind': 'order', 'content-length': '1', 'not a header': 'x', constructor: 'own' },
    ['__proto__']: 'kept',
  };
  const id = await topic.publishMessage({ data: Buffer.from('raw'), attributes });
  await until(() => endpoint.pushed.length === 1);
  const { headers, rawHeaders, body } = endpoint.pushed[0] as Pushed;
  assert.equal(body, 'raw');
  assert.equal(headers['x-kind'], 'order');
  assert.equal(headers.constructor, 'own');
  assert.ok(rawHeaders.join().includes('__proto__,kept'), rawHeaders.join());
  assert.equal(headers['x-goog-pubsub-message-id'], id);
  assert.equal(headers['x-goog-pubsub-subscription-name'], 'projects/project/subscriptions/pushed');
  assert.ok(Date.parse(String(headers['x-goog-pubsub-publish-time'])) > 0);
  await client.subscription('pushed').modifyPushConfig({ pushEndpoint: endpoint.url, noWrapper: {} });
  await topic.publishMessage({ data: Buffer.from('bare'), attributes });
  await until(() => endpoint.pushed.length === 2);
  assert.equal(endpoint.pushed[1]?.body, 'bare');
  assert.equal(endpoint.pushed[1]?.headers['x-kind'], undefined);
});

test('leaves out an ordering key that is no header, and pushes what follows', async (context) => {
  const endpoint = await startEndpoint(context);
  const { emulator, topic } = await setUp(context, endpoint.url, {
    enableMessageOrdering: true,
    pushConfig: { pushEndpoint: endpoint.url, noWrapper: { writeMetadata: true } },
  });
  topic.setPublishOptions({ messageOrdering: true });
  for (const orderingKey of ['ключ', 'two\nlines', 'plain']) {
    await topic.publishMessage({ data: Buffer.from(orderingKey), orderingKey });
  }
  await until(() => unackedOf(emulator) === 0);
  const pushed = endpoint.pushed.map(({ body, headers }) => [body, headers['x-goog-pubsub-ordering-key']]);
  assert.deepEqual(
    new Map(pushed as [string, string | undefined][]),
    new Map([
      ['ключ', undefined],
      ['two\nlines', undefined],
      ['plain', 'plain'],
    ]),
  );
});

/** Five attempts without a pause between them, and then the dead-letter topic. */
async function setUpDeadLetters(context: TestContext, pushEndpoint: string) {
  const emulator = await startEmulator(context);
  const client = createClient(context, emulator);
  const [topic] = await client.createTopic('orders');
  const [deadLetterTopic] = await client.createTopic('dead');
  const [dead] = await client.createSubscription(deadLetterTopic, 'dead-letters');
  await client.createSubscription(topic, 'pushed', {
    pushConfig: { pushEndpoint },
    deadLetterPolicy: { deadLetterTopic: deadLetterTopic.name, maxDeliveryAttempts: 5 },
    retryPolicy: { minimumBackoff: { seconds: 0 }, maximumBackoff: { seconds: 0 } },
  });
  return { emulator, topic, dead };
}

test('takes what cannot be sent as a nack: the dead-letter topic gets it', async (context) => {
  // No request is made to a user whose name is not percent-encoded.
  const { emulator, topic, dead } = await setUpDeadLetters(context, 'http://100%@127.0.0.1:9/push');
  await topic.publishMessage({ data: Buffer.from('one') });
  const [message] = await once(dead, 'message');
  message.ack();
  assert.equal(message.attributes.CloudPubSubDeadLetterSourceDeliveryCount, '5');
  await until(() => unackedOf(emulator) === 0);
});

for (const status of [200, 201, 202, 204]) {
  test(`takes ${status} as an ack`, async (context) => {
    const endpoint = await startEndpoint(context, answerWith(status));
    const { emulator, topic } = await setUp(context, endpoint.url);
    await topic.publishMessage({ data: Buffer.from('one') });
    await until(() => unackedOf(emulator) === 0);
    assert.equal(endpoint.pushed.length, 1);
  });
}

test('takes 102 as an ack, without a final answer', async (context) => {
  const endpoint = await startEndpoint(context, (response) => response.writeProcessing());
  const { emulator, topic } = await setUp(context, endpoint.url);
  await topic.publishMessage({ data: Buffer.from('one') });
  await until(() => unackedOf(emulator) === 0);
});

for (const status of [203, 301, 400, 404, 429, 500, 503]) {
  test(`takes ${status} as a nack: pushes again until it is acked`, async (context) => {
    let answered = 0;
    const endpoint = await startEndpoint(context, (response) =>
      answerWith(++answered < 3 ? status : 200)(response),
    );
    const { emulator, topic } = await setUp(context, endpoint.url);
    await topic.publishMessage({ data: Buffer.from('one') });
    await until(() => unackedOf(emulator) === 0);
    assert.deepEqual(textsOf(endpoint), ['one', 'one', 'one']);
  });
}

test('loses nothing while the endpoint is away', async (context) => {
  const first = await startEndpoint(context);
  const { emulator, topic } = await setUp(context, first.url);
  await first.close();
  await Promise.all(
    Array.from({ length: 50 }, (_, at) => topic.publishMessage({ data: Buffer.from(`${at}`) })),
  );
  assert.equal(unackedOf(emulator), 50);
  const again = await startEndpoint(context, answerWith(200), first.port);
  await until(() => unackedOf(emulator) === 0);
  assert.equal(new Set(textsOf(again)).size, 50);
});

test('forwards to the dead-letter topic after as many attempts as the policy says', async (context) => {
  const endpoint = await startEndpoint(context, answerWith(500));
  const { topic, dead } = await setUpDeadLetters(context, endpoint.url);
  await topic.publishMessage({ data: Buffer.from('poison') });
  const [message] = await once(dead, 'message');
  message.ack();
  assert.equal(message.attributes.CloudPubSubDeadLetterSourceDeliveryCount, '5');
  assert.deepEqual(
    endpoint.pushed.map(({ deliveryAttempt }) => deliveryAttempt),
    [1, 2, 3, 4, 5],
  );
});

test('pushes the messages of a key one after another, also when one is nacked', async (context) => {
  let isRefused = false;
  const endpoint = await startEndpoint(context, (response, { text }) => {
    const refuses = text === 'a2' && !isRefused;
    if (refuses) isRefused = true;
    answerWith(refuses ? 500 : 200)(response);
  });
  const { emulator, topic } = await setUp(context, endpoint.url, { enableMessageOrdering: true });
  topic.setPublishOptions({ messageOrdering: true });
  await Promise.all(
    Array.from({ length: 6 }, (_, at) =>
      topic.publishMessage({ data: Buffer.from(`a${at}`), orderingKey: 'a' }),
    ),
  );
  await until(() => unackedOf(emulator) === 0);
  assert.deepEqual(textsOf(endpoint), ['a0', 'a1', 'a2', 'a2', 'a3', 'a4', 'a5']);
  assert.equal(endpoint.mostAtOnce, 1);
});

test('begins with three requests at once, and sends more as they succeed', async (context) => {
  const held: ServerResponse[] = [];
  const endpoint = await startEndpoint(context, (response) => held.push(response));
  const { emulator, topic } = await setUp(context, endpoint.url);
  await Promise.all(
    Array.from({ length: 40 }, (_, at) => topic.publishMessage({ data: Buffer.from(`${at}`) })),
  );
  await until(() => held.length === 3);
  for (const response of held.splice(0)) response.end();
  await until(() => held.length === 6);
  for (const response of held.splice(0)) response.end();
  await until(() => held.length === 12);
  assert.equal(endpoint.mostAtOnce, 12);
  while (unackedOf(emulator) !== 0) {
    for (const response of held.splice(0)) response.end();
    await new Promise((resolve) => setImmediate(resolve));
  }
});

test('takes a seek for no failure of the endpoint: as many messages as before follow at once', async (context) => {
  const held: ServerResponse[] = [];
  const endpoint = await startEndpoint(context, (response) => held.push(response));
  const { emulator, topic, subscription } = await setUp(context, endpoint.url);
  const publish = () =>
    Promise.all(['a', 'b', 'c'].map((text) => topic.publishMessage({ data: Buffer.from(text) })));
  await publish();
  await until(() => held.length === 3);
  await subscription.createSnapshot('before');
  // Everything is to be pushed again, and what is under way is nobody's.
  await subscription.seek('before');
  await until(() => held.slice(0, 3).every(({ closed }) => closed));
  await until(() => held.length === 6);
  assert.equal(held.filter(({ closed }) => !closed).length, 3);
  for (const response of held.slice(3)) response.end();
  await until(() => unackedOf(emulator) === 0);
});

test('takes a deadline that passed for a failure: after a pause one message follows', async (context) => {
  const held: ServerResponse[] = [];
  const endpoint = await startEndpoint(context, (response) => held.push(response));
  const { emulator, topic } = await setUp(context, endpoint.url, { ackDeadlineSeconds: 10 });
  const publish = () => topic.publishMessage({ data: Buffer.from('x') });
  await Promise.all(Array.from({ length: 6 }, publish));
  await until(() => held.length === 4);
  await publish();
  assert.deepEqual(
    held.map(({ closed }) => closed),
    [true, true, true, false],
  );
  await until(() => {
    for (const response of held) if (!response.closed) response.end();
    return unackedOf(emulator) === 0;
  });
});

test('has no more under way to all endpoints than there is room for, and goes on when one answers', async (context) => {
  const held: ServerResponse[] = [];
  const endpoint = await startEndpoint(context, (response) => held.push(response));
  const settings = {
    pushConfig: { pushEndpoint: endpoint.url, noWrapper: {} },
    ackDeadlineSeconds: 600,
  };
  const { emulator, client, topic } = await setUp(context, endpoint.url, settings);
  for (let number = 2; number <= 8; number++) {
    await client.createSubscription(topic, `pushed-${number}`, settings);
  }
  const count = (bytes: number) => endpoint.pushed.filter(({ body }) => body.length === bytes).length;
  await topic.publishMessage({ data: Buffer.alloc(9_900_000, 'x') });
  await until(() => count(9_900_000) === 6);
  await topic.publishMessage({ data: Buffer.from('small') });
  await until(() => count(5) === 6);
  assert.equal(count(9_900_000), 6, 'eight of them are more than 64 MiB');
  await until(() => {
    for (const response of held.splice(0)) response.end();
    return emulator.broker.backlog().every(({ unackedCount }) => unackedCount === 0);
  });
  assert.deepEqual([count(9_900_000), count(5)], [8, 8]);
});

test('changes from push to pull and back, and to another endpoint', async (context) => {
  const first = await startEndpoint(context);
  const second = await startEndpoint(context);
  const { emulator, topic, subscription } = await setUp(context, first.url);
  await topic.publishMessage({ data: Buffer.from('one') });
  await until(() => first.pushed.length === 1 && unackedOf(emulator) === 0);
  await subscription.modifyPushConfig({});
  await topic.publishMessage({ data: Buffer.from('two') });
  const pulled: string[] = [];
  const refused = Promise.withResolvers<Error>();
  subscription.on('error', refused.resolve);
  subscription.on('message', (message) => {
    pulled.push(message.data.toString());
    message.ack();
  });
  await until(() => pulled.length === 1 && unackedOf(emulator) === 0);
  await subscription.modifyPushConfig({ pushEndpoint: second.url });
  assert.match((await refused.promise).message, /Subscription is a push subscription/);
  await topic.publishMessage({ data: Buffer.from('three') });
  await until(() => second.pushed.length === 1);
  assert.deepEqual([textsOf(first), pulled, textsOf(second)], [['one'], ['two'], ['three']]);
});

test('goes on after a restart', async (context) => {
  const folder = createFolder();
  const endpoint = await startEndpoint(context, answerWith(500));
  const before = await setUp(context, endpoint.url, {}, folder);
  await before.topic.publishMessage({ data: Buffer.from('one') });
  await until(() => endpoint.pushed.length > 0);
  await before.emulator.close();
  await endpoint.close();
  const again = await startEndpoint(context, answerWith(200), endpoint.port);
  const emulator = await startEmulator(context, { dataDir: folder });
  await until(() => unackedOf(emulator) === 0);
  assert.deepEqual(textsOf(again), ['one']);
});

test('answers for what is under way when it closes', async (context) => {
  const folder = createFolder();
  const held: ServerResponse[] = [];
  const endpoint = await startEndpoint(context, (response) => held.push(response));
  const { emulator, topic } = await setUp(context, endpoint.url, {}, folder);
  await topic.publishMessage({ data: Buffer.from('one') });
  await until(() => held.length === 1);
  const closed = emulator.close();
  held[0]?.end();
  await closed;
  const again = await startEmulator(context, { dataDir: folder });
  assert.equal(unackedOf(again), 0);
});

test('speaks TLS to an endpoint of HTTPS in capitals', async (context) => {
  const first = Promise.withResolvers<Buffer>();
  const server = createTcpServer((socket) => {
    socket.once('data', (bytes: Buffer) => {
      first.resolve(bytes);
      socket.destroy();
    });
    socket.on('error', () => {}); // its bytes are all that matters
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  context.after(() => server.close());
  const client = createClient(context, await startEmulator(context));
  const [topic] = await client.createTopic('orders');
  const rest = `://127.0.0.1:${(server.address() as AddressInfo).port}/push`;
  const [subscription] = await client.createSubscription(topic, 'pushed', {
    pushConfig: { pushEndpoint: `HTTPS${rest}` },
  });
  assert.equal(subscription.metadata?.pushConfig?.pushEndpoint, `https${rest}`);
  await topic.publishMessage({ data: Buffer.from('one') });
  const tlsHandshake = 0x16;
  assert.equal((await first.promise)[0], tlsHandshake);
});

test('refuses endpoints, tokens and settings that it would not honour', async (context) => {
  const emulator = await startEmulator(context);
  const client = createClient(context, emulator);
  const [topic] = await client.createTopic('orders');
  const create = (pushConfig: object, more: object = {}) =>
    client.createSubscription(topic, 'pushed', { pushConfig, ...more });
  const pushEndpoint = 'http://127.0.0.1:9/push';
  await assert.rejects(create({ pushEndpoint: 'ftp://host/x' }), /Unsupported push_endpoint/);
  for (const text of [
    'nonsense',
    'http://',
    ' http://127.0.0.1:9/',
    'http://127.0.0.1:9/a b',
    'http:127.0.0.1',
  ]) {
    await assert.rejects(create({ pushEndpoint: text }), /Unsupported push_endpoint/);
  }
  await assert.rejects(create({ pushEndpoint, oidcToken: { serviceAccountEmail: 'a@b.c' } }), /oidcToken/);
  await assert.rejects(
    create({ pushEndpoint, attributes: { 'x-goog-version': 'v2' } }),
    /x-goog-version=v1 is the only one/,
  );
  await assert.rejects(create({ pushEndpoint }, { enableExactlyOnceDelivery: true }), /Exactly-once/);
  await create({ pushEndpoint, attributes: { 'x-goog-version': 'v1' } });
  const [metadata] = await client.subscription('pushed').getMetadata();
  assert.equal(metadata.pushConfig?.pushEndpoint, pushEndpoint);
});
