/** Reset and fault injection, by HTTP, with their effect on gRPC and REST calls. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { Client, credentials, status } from '@grpc/grpc-js';
import { createFolder } from '../../test/process.ts';
import { until } from '../../test/until.ts';
import { readConfig } from '../src/config.ts';
import type { Emulator, EmulatorOptions } from '../src/emulator.ts';
import { encodeField } from '../src/protobuf.ts';
import { createClient, receive, startEmulator, texts } from './harness.ts';
import { createRawClient, publishRequest } from './process.ts';

const topic = 'projects/project/topics/orders';
const subscription = 'projects/project/subscriptions/orders-writer';
const declarations = JSON.stringify({
  topics: [{ name: topic }],
  subscriptions: [{ name: subscription, topic }],
});

/** An error, or a list of faults. */
type Answer = { error: { message: string } } & { count?: number }[];

async function setUp(context: TestContext, options: Partial<EmulatorOptions> = {}) {
  const emulator = await startEmulator(context, { declarations, hasTestEndpoints: true, ...options });
  const ask = async (line: string, body?: unknown, headers: Record<string, string> = {}) => {
    const [method = '', path] = line.split(' ');
    const url = `http://127.0.0.1:${emulator.port}${path}`;
    const response = await fetch(url, {
      method,
      headers,
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    return { status: response.status, json: (await response.json()) as Answer };
  };
  return { emulator, ask, call: createRawClient(context, emulator.port) };
}

function consumersOf({ broker }: Emulator, id: string): number {
  return broker.backlog().find((one) => one.subscription.endsWith(id))?.consumerCount ?? 0;
}

function openStream(context: TestContext, { port }: Emulator) {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  context.after(() => client.close());
  const asBytes = (bytes: Buffer) => bytes;
  const stream = client.makeBidiStreamRequest('/google.pubsub.v1.Subscriber/StreamingPull', asBytes, asBytes);
  stream.write(Buffer.concat([encodeField(1, subscription), Buffer.from([5 << 3, 10])]));
  return stream;
}

test('does nothing for tests unless that was allowed at the start, and nothing for a web page', async (context) => {
  const { emulator, ask } = await setUp(context, { hasTestEndpoints: false });
  for (const line of [
    'POST /_emulator/reset',
    'GET /_emulator/faults',
    'PUT /_emulator/faults',
    'DELETE /_emulator/faults',
  ]) {
    const { status: code, json } = await ask(line, line.startsWith('PUT') ? [] : undefined);
    assert.equal(code, 403);
    assert.match(
      json.error.message,
      /Start the emulator with --test-endpoints \(EMULATOR_TEST_ENDPOINTS=true\)/,
    );
  }
  assert.equal((await ask('POST /_emulator/restart')).status, 404);
  assert.ok(emulator.broker.registry.topics.has(topic));
  const allowed = await setUp(context);
  const { status: code } = await allowed.ask('POST /_emulator/reset', undefined, {
    origin: 'http://localhost:3000',
  });
  assert.equal(code, 403);
});

test('is allowed by a flag or a variable', () => {
  const read = (args: string[], env = {}) => {
    const config = readConfig(args, env);
    return config !== 'help' && config.hasTestEndpoints;
  };
  assert.equal(read([]), false);
  assert.equal(read(['--test-endpoints']), true);
  assert.equal(read([], { EMULATOR_TEST_ENDPOINTS: 'true' }), true);
  assert.equal(read([], { EMULATOR_TEST_ENDPOINTS: '0' }), false);
  assert.throws(
    () => readConfig([], { EMULATOR_TEST_ENDPOINTS: 'maybe' }),
    /--test-endpoints \(EMULATOR_TEST_ENDPOINTS\): wants true or false/,
  );
});

test('resets to what was declared, for good, and a connected client goes on', async (context) => {
  const dataDir = createFolder();
  const { emulator, ask } = await setUp(context, { dataDir });
  const client = createClient(context, emulator);
  const [mails] = await client.createTopic('mails');
  await mails.createSubscription('mails-writer');
  await client.subscription('orders-writer').createSnapshot('before');
  await mails.publishMessage({ data: Buffer.from('old') });
  await client.topic('orders').createSubscription('orders-audit');
  await client.topic('orders').publishMessage({ data: Buffer.from('old') });
  assert.deepEqual(texts(await receive(client.subscription('orders-writer'), 1)), ['old']);
  const gone = assert.rejects(receive(client.subscription('orders-audit'), 2), { code: status.NOT_FOUND });
  const next = receive(client.subscription('orders-writer'), 1);
  await until(() => consumersOf(emulator, 'orders-audit') > 0 && consumersOf(emulator, 'orders-writer') > 0);
  await ask('PUT /_emulator/faults', [{ method: 'CreateTopic', code: 'ABORTED' }]);
  assert.deepEqual(await ask('POST /_emulator/reset'), { status: 200, json: {} });
  const { registry } = emulator.broker;
  assert.deepEqual([...registry.topics.keys()], [topic]);
  assert.deepEqual([...registry.subscriptions.keys()], [subscription]);
  assert.equal(registry.snapshots.size, 0);
  assert.deepEqual((await ask('GET /_emulator/faults')).json, []);
  await gone;
  await client.topic('orders').publishMessage({ data: Buffer.from('new') });
  assert.deepEqual(texts(await next), ['new']);
  await until(() => emulator.broker.backlog()[0]?.unackedCount === 0);
  await client.close();
  await emulator.close();
  const again = await startEmulator(context, { dataDir });
  assert.deepEqual([...again.broker.registry.topics.keys()], [topic]);
  assert.deepEqual(
    again.broker.backlog().map(({ unackedCount }) => unackedCount),
    [0],
  );
});

test('resets one after the other when several ask at once', async (context) => {
  const names = Array.from({ length: 100 }, (_, number) => `orders-${number}`);
  const { emulator, ask } = await setUp(context, {
    project: 'project',
    declarations: JSON.stringify({
      topics: names.map((name) => ({ name })),
      subscriptions: names.map((name) => ({ name, topic: name })),
    }),
  });
  // One begins while another declares.
  const answers = [];
  for (let number = 0; number < 4; number++) {
    answers.push(ask('POST /_emulator/reset'));
    await until(() => emulator.broker.registry.subscriptions.size < names.length);
    await until(() => emulator.broker.registry.subscriptions.size > 0);
  }
  const all = await Promise.all(answers);
  for (const { status: code, json } of all) assert.equal(code, 200, JSON.stringify(json));
  assert.equal(emulator.broker.registry.subscriptions.size, names.length);
});

test('injects an error as often as it was asked to, over gRPC and REST', async (context) => {
  const { ask, call } = await setUp(context);
  const fault = { method: 'Publish', code: 'UNAVAILABLE', message: 'injected', count: 2 };
  const put = await ask('PUT /_emulator/faults', [fault]);
  assert.deepEqual(put.json, [{ ...fault, probability: 1, delayMs: 0 }]);
  await assert.rejects(call('Publisher', 'Publish', publishRequest(topic, ['one'])), {
    code: status.UNAVAILABLE,
    details: 'injected',
  });
  assert.equal((await ask('GET /_emulator/faults')).json[0]?.count, 1);
  assert.equal((await ask(`GET /v1/${topic}`)).status, 200);
  const publish = () => ask(`POST /v1/${topic}:publish`, { messages: [{ data: 'b25l' }] });
  const refused = await publish();
  assert.deepEqual(refused, {
    status: 503,
    json: { error: { code: 503, message: 'injected', status: 'UNAVAILABLE' } },
  });
  assert.deepEqual((await ask('GET /_emulator/faults')).json, []);
  assert.equal((await publish()).status, 200);
  await call('Publisher', 'Publish', publishRequest(topic, ['two']));
});

test('injects errors into every method until they are deleted, and none into health', async (context) => {
  const { emulator, ask, call } = await setUp(context);
  await ask('PUT /_emulator/faults', [{ method: '*', code: 'ABORTED' }]);
  await assert.rejects(call('Publisher', 'GetTopic', encodeField(1, topic)), { code: status.ABORTED });
  assert.equal((await ask('GET /v1/projects/project/topics')).status, 409);
  const stream = openStream(context, emulator);
  const [error] = await once(stream, 'error');
  assert.equal(error.code, status.ABORTED);
  const health = new Client(`127.0.0.1:${emulator.port}`, credentials.createInsecure());
  context.after(() => health.close());
  const asBytes = (bytes: Buffer) => bytes;
  const served = await new Promise((resolve, reject) => {
    health.makeUnaryRequest(
      '/grpc.health.v1.Health/Check',
      asBytes,
      asBytes,
      Buffer.alloc(0),
      (failure, answer) => (failure ? reject(failure) : resolve(answer)),
    );
  });
  assert.deepEqual(served, Buffer.from([8, 1]));
  assert.equal((await fetch(`http://127.0.0.1:${emulator.port}/readyz`)).status, 200);
  assert.deepEqual((await ask('DELETE /_emulator/faults')).json, []);
  await call('Publisher', 'GetTopic', encodeField(1, topic));
});

test('delays a call, also the opening of a stream, which then has what was sent meanwhile', async (context) => {
  const { emulator, ask, call } = await setUp(context);
  await call('Publisher', 'Publish', publishRequest(topic, ['one']));
  await ask('PUT /_emulator/faults', [
    { method: 'StreamingPull', delayMs: 200, count: 1 },
    { method: 'GetTopic', delayMs: 200, code: 'INTERNAL', count: 1 },
  ]);
  const started = performance.now();
  const waiting = assert.rejects(call('Publisher', 'GetTopic', encodeField(1, topic)), {
    code: status.INTERNAL,
  });
  const stream = openStream(context, emulator);
  await once(stream, 'data');
  await waiting;
  assert.ok(performance.now() - started >= 190, 'neither was delayed');
  stream.cancel();
  stream.on('error', () => {});
});

test('calls nothing for a client that has gone while it was delayed', async (context) => {
  const { emulator, ask } = await setUp(context);
  await ask('PUT /_emulator/faults', [{ method: '*', delayMs: 100, count: 2 }]);
  const stream = openStream(context, emulator);
  stream.on('error', () => {});
  const gone = new AbortController();
  const pull = pullUntil(emulator, gone.signal);
  await until(async () => (await ask('GET /_emulator/faults')).json.length === 0);
  stream.cancel();
  gone.abort();
  await assert.rejects(pull, { name: 'AbortError' });
  await ask('PUT /_emulator/faults', [{ method: 'GetTopic', delayMs: 300 }]);
  await ask(`GET /v1/${topic}`);
  assert.equal(emulator.broker.backlog()[0]?.consumerCount, 0);
});

function pullUntil({ port }: Emulator, signal: AbortSignal): Promise<Response> {
  const url = `http://127.0.0.1:${port}/v1/${subscription}:pull`;
  return fetch(url, { method: 'POST', body: '{"maxMessages":1}', signal });
}

test('injects a fault with its probability, the first that meets a call', async (context) => {
  const { ask } = await setUp(context);
  await ask('PUT /_emulator/faults', [
    { method: 'GetTopic', code: 'UNAVAILABLE', probability: 0.5 },
    { method: 'GetTopic', code: 'ABORTED' },
  ]);
  const seen = new Set<number>();
  // Either is missing from 60 calls once in 10^18 runs.
  for (let number = 0; number < 60; number++) seen.add((await ask(`GET /v1/${topic}`)).status);
  assert.deepEqual(seen, new Set([503, 409]));
});

test('names the field of a fault that cannot be', async (context) => {
  const { ask } = await setUp(context);
  const cases: [body: unknown, message: RegExp][] = [
    [{}, /^faults: Invalid input: expected array/],
    [[{ method: 'Publsh', code: 'ABORTED' }], /^faults\[0\]\.method: Invalid option/],
    [[{ method: '*', code: 'OK' }], /^faults\[0\]\.code: Invalid option/],
    [[{ method: '*' }], /^faults\[0\]: wants a code, a delayMs or both/],
    [[{ method: '*', delayMs: 1, message: 'x' }], /^faults\[0\]: has a message without a code/],
    [[{ method: '*', code: 'ABORTED', probability: 1.1 }], /^faults\[0\]\.probability: /],
    [[{ method: '*', code: 'ABORTED', count: 0 }], /^faults\[0\]\.count: /],
    [[{ method: '*', delayMs: 600_001 }], /^faults\[0\]\.delayMs: /],
    [[{ method: '*', code: 'ABORTED', times: 1 }], /^faults\[0\]: Unrecognized key: "times"/],
    [
      Array(101).fill({ method: '*', code: 'ABORTED' }),
      /^faults: Too big: expected array to have <=100 items/,
    ],
  ];
  for (const [body, message] of cases) {
    const { status: code, json } = await ask('PUT /_emulator/faults', body);
    assert.equal(code, 400, JSON.stringify(json));
    assert.match(json.error.message, message);
  }
  assert.deepEqual((await ask('GET /_emulator/faults')).json, []);
  assert.equal(
    (await ask('PUT /_emulator/faults', Array(100).fill({ method: '*', delayMs: 600_000 }))).status,
    200,
  );
});
