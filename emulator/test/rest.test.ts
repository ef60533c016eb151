/** The REST API as curl and Terraform call it, by real HTTP. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { text as textOf } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { until } from '../../test/until.ts';
import type { Emulator } from '../src/emulator.ts';
import { startEmulator } from './harness.ts';
import { createRawClient, pullRequest, readPulled } from './process.ts';

type Json = Record<string, unknown>;

const topic = 'projects/project/topics/orders';
const subscription = 'projects/project/subscriptions/orders-writer';

/** An emulator with a topic and a subscription, and a caller of its REST API. */
async function setUp(context: TestContext, settings: Json = {}) {
  const declarations = JSON.stringify({
    topics: [{ name: topic }],
    subscriptions: [{ name: subscription, topic, ...settings }],
  });
  const emulator = await startEmulator(context, { declarations });
  return { emulator, call: callerOf(emulator) };
}

function callerOf({ port }: Emulator) {
  return async (line: string, body?: unknown, headers: Record<string, string> = {}) => {
    const [method = '', path = ''] = line.split(' ');
    const response = await fetch(`http://127.0.0.1:${port}/v1/${path}`, {
      method,
      headers,
      ...(body !== undefined && { body: isRaw(body) ? body : JSON.stringify(body) }),
    });
    const answer = await response.text();
    return { status: response.status, text: answer, json: (answer === '' ? {} : JSON.parse(answer)) as Json };
  };
}

function isRaw(body: unknown): body is string | Uint8Array<ArrayBuffer> {
  return typeof body === 'string' || body instanceof Uint8Array;
}

type Call = ReturnType<typeof callerOf>;

async function refuses(
  call: Call,
  line: string,
  body: unknown,
  [code, status, message]: [number, string, string | RegExp],
) {
  const { status: actual, json } = await call(line, body);
  const error = json.error as Json;
  assert.deepEqual(
    [actual, error.code, error.status],
    [code, code, status],
    `${line}: ${JSON.stringify(json)}`,
  );
  if (typeof message === 'string') assert.equal(error.message, message);
  else assert.match(String(error.message), message);
  return error;
}

const badRequest = (message: string | RegExp): [number, string, string | RegExp] => [
  400,
  'INVALID_ARGUMENT',
  message,
];

function textsOf({ json }: { json: Json }): string[] {
  const received = (json.receivedMessages ?? []) as { message: { data: string } }[];
  return received.map(({ message }) => Buffer.from(message.data, 'base64').toString());
}

function ackIdsOf({ json }: { json: Json }): string[] {
  return ((json.receivedMessages ?? []) as { ackId: string }[]).map(({ ackId }) => ackId);
}

const base64 = (text: string) => Buffer.from(text).toString('base64');

test('creates, gets, lists, updates and deletes a topic', async (context) => {
  const { call } = await setUp(context);
  const name = 'projects/project/topics/mails';
  const created = await call(`PUT ${name}`, { labels: { team: 'shop' } });
  assert.deepEqual(created.json, { name, labels: { team: 'shop' }, state: 'ACTIVE' });
  assert.deepEqual((await call(`GET ${name}`)).json, created.json);
  assert.equal((await call(`HEAD ${name}`)).status, 200);
  const first = await call('GET projects/project/topics?pageSize=1');
  assert.deepEqual(first.json, { topics: [created.json], nextPageToken: topic });
  const second = await call(`GET projects/project/topics?page_size=1&page_token=${topic}`);
  assert.deepEqual(second.json, { topics: [{ name: topic, state: 'ACTIVE' }] });
  const updated = await call(`PATCH ${name}`, {
    topic: { labels: { team: 'mail' }, messageRetentionDuration: '600.5s' },
    updateMask: 'labels,messageRetentionDuration',
  });
  assert.deepEqual(updated.json, {
    name,
    labels: { team: 'mail' },
    messageRetentionDuration: '600.500s',
    state: 'ACTIVE',
  });
  assert.deepEqual((await call(`DELETE ${name}`)).json, {});
  await refuses(call, `GET ${name}`, undefined, [404, 'NOT_FOUND', /^Resource not found/]);
  await refuses(call, `PUT ${topic}`, {}, [409, 'ALREADY_EXISTS', 'Topic already exists']);
});

test('creates, updates, detaches and deletes a subscription', async (context) => {
  const { call } = await setUp(context);
  const name = 'projects/project/subscriptions/mails';
  const settings = {
    name,
    topic,
    ackDeadlineSeconds: 20,
    retainAckedMessages: true,
    messageRetentionDuration: '3600s',
    enableMessageOrdering: true,
    filter: 'attributes:kind',
    deadLetterPolicy: { deadLetterTopic: topic, maxDeliveryAttempts: 7 },
    retryPolicy: { minimumBackoff: '1.500s', maximumBackoff: '60s' },
  };
  const created = await call(`PUT ${name}`, settings);
  const shown = { ...settings, pushConfig: {}, expirationPolicy: { ttl: '2678400s' }, state: 'ACTIVE' };
  assert.deepEqual(created.json, shown);
  const masks = [
    ['update_mask in the query, as Terraform sends it', '?updateMask=ackDeadlineSeconds', {}],
    ['in snake_case', '', { updateMask: 'ack_deadline_seconds' }],
    ['in camelCase', '', { updateMask: 'ackDeadlineSeconds' }],
    ['with a field name in snake_case', '', { update_mask: 'ackDeadlineSeconds' }],
  ] as const;
  for (const [position, [, query, mask]] of masks.entries()) {
    const ackDeadlineSeconds = 30 + position;
    const body = { subscription: { ack_deadline_seconds: ackDeadlineSeconds }, ...mask };
    const updated = await call(`PATCH ${name}${query}`, body);
    assert.deepEqual(updated.json, { ...shown, ackDeadlineSeconds });
  }
  const listed = await call('GET projects/project/subscriptions');
  assert.deepEqual(
    (listed.json.subscriptions as Json[]).map((one) => one.name),
    [name, subscription],
  );
  const ofTopic = await call(`GET ${topic}/subscriptions`);
  assert.deepEqual(ofTopic.json, { subscriptions: [name, subscription] });
  assert.deepEqual((await call(`POST ${name}:detach`)).json, {});
  assert.equal((await call(`GET ${name}`)).json.detached, true);
  assert.deepEqual((await call(`DELETE ${name}`)).json, {});
  await refuses(call, `DELETE ${name}`, undefined, [404, 'NOT_FOUND', /^Resource not found/]);
});

test('refuses an update mask that names what every object has', async (context) => {
  const { call } = await setUp(context);
  for (const path of ['constructor', 'to_string', 'toString', '__proto__', 'has_own_property']) {
    const known: [number, string, RegExp] = [
      400,
      'INVALID_ARGUMENT',
      /is not a known (Topic|Subscription) field/,
    ];
    await refuses(call, `PATCH ${topic}`, { topic: {}, updateMask: path }, known);
    await refuses(call, `PATCH ${subscription}`, { subscription: {}, updateMask: path }, known);
  }
});

test('refuses a dead-letter policy without a topic, and takes one away by an empty one', async (context) => {
  const { call } = await setUp(context, { deadLetterPolicy: { deadLetterTopic: topic } });
  const notFound: [number, string, string] = [404, 'NOT_FOUND', 'Resource not found (resource=).'];
  const deadLetterPolicy = { maxDeliveryAttempts: 5 };
  await refuses(call, `PUT ${subscription}-2`, { topic, deadLetterPolicy }, notFound);
  await refuses(call, `GET ${subscription}-2`, undefined, [404, 'NOT_FOUND', /^Resource not found/]);
  const update = (policy: Json) => ({
    subscription: { deadLetterPolicy: policy },
    updateMask: 'deadLetterPolicy',
  });
  await refuses(call, `PATCH ${subscription}`, update(deadLetterPolicy), notFound);
  const kept = { deadLetterTopic: topic, maxDeliveryAttempts: 5 };
  assert.deepEqual((await call(`GET ${subscription}`)).json.deadLetterPolicy, kept);
  assert.equal((await call(`PATCH ${subscription}`, update({}))).json.deadLetterPolicy, undefined);
});

test('takes a mask that leads into a field in camelCase, and durations of nanoseconds', async (context) => {
  const { call } = await setUp(context);
  const retryPolicy = { minimumBackoff: '10.123456789s', maximumBackoff: '20.000000001s' };
  await call(`PUT ${subscription}-2`, { topic, retryPolicy });
  const updated = await call(`PATCH ${subscription}-2`, {
    subscription: {
      labels: { team: 'shop' },
      pushConfig: { attributes: { 'x-goog-version': 'v1beta1' } },
      retryPolicy: { maximumBackoff: '30s' },
    },
    updateMask: 'labels,pushConfig.attributes,retryPolicy.maximumBackoff',
  });
  assert.equal(updated.status, 200, updated.text);
  const { json } = await call(`GET ${subscription}-2`);
  assert.deepEqual(json.labels, { team: 'shop' });
  assert.deepEqual(json.pushConfig, { attributes: { 'x-goog-version': 'v1beta1' } });
  assert.deepEqual(json.retryPolicy, { minimumBackoff: '10.123456789s', maximumBackoff: '30s' });
});

test('publishes, pulls, modifies the ack deadline and acknowledges', async (context) => {
  const { emulator, call } = await setUp(context);
  const messages = [
    { data: base64('one'), attributes: { kind: 'test' }, orderingKey: 'key' },
    // Without padding, in the alphabet of URLs, and with what is the broker's to say.
    { data: '_-8', message_id: '7', publishTime: '2001-01-01T00:00:00Z' },
  ];
  const published = await call(`POST ${topic}:publish`, { messages });
  const [firstId, secondId] = published.json.messageIds as string[];
  const pulled = await call(`POST ${subscription}:pull`, { maxMessages: '10' });
  const [first, second] = pulled.json.receivedMessages as { ackId: string; message: Json }[];
  const { publishTime, ...message } = first?.message ?? {};
  assert.deepEqual(message, { ...messages[0], messageId: firstId });
  assert.match(String(publishTime), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z$/);
  assert.ok(Math.abs(Date.parse(String(publishTime)) - Date.now()) < 60_000);
  assert.deepEqual([second?.message.data, second?.message.messageId], ['/+8=', secondId]);
  const nacked = { ackIds: [second?.ackId], ackDeadlineSeconds: 0 };
  assert.deepEqual((await call(`POST ${subscription}:modifyAckDeadline`, nacked)).json, {});
  assert.deepEqual((await call(`POST ${subscription}:acknowledge`, { ack_ids: [first?.ackId] })).json, {});
  const again = await call(`POST ${subscription}:pull`, { maxMessages: 10, returnImmediately: true });
  assert.deepEqual(textsOf(again), [Buffer.from('_-8', 'base64').toString()]);
  await call(`POST ${subscription}:acknowledge`, { ackIds: ackIdsOf(again) });
  assert.equal(emulator.broker.backlog()[0]?.unackedCount, 0);
  const nothing = await call(`POST ${subscription}:pull`, { maxMessages: 10, returnImmediately: true });
  assert.equal(nothing.text, '{}\n');
});

test('delivers to gRPC what was published by REST', async (context) => {
  const { emulator, call } = await setUp(context);
  await call(`POST ${topic}:publish`, { messages: [{ data: base64('one') }] });
  const raw = createRawClient(context, emulator.port);
  const pulled = readPulled(await raw('Subscriber', 'Pull', pullRequest(subscription, 10)));
  assert.deepEqual(
    pulled.map(({ text }) => text),
    ['one'],
  );
});

test('makes, lists, updates and deletes snapshots, and seeks to a snapshot and to a time', async (context) => {
  const { call } = await setUp(context, { retainAckedMessages: true });
  const name = 'projects/project/snapshots/before';
  const created = await call(`PUT ${name}`, { subscription, labels: { kind: 'test' } });
  const { expireTime, ...snapshot } = created.json;
  assert.deepEqual(snapshot, { name, topic, labels: { kind: 'test' } });
  const time = String(expireTime).replace('Z', '+00:00');
  const updated = await call(`PATCH ${name}`, { snapshot: { expireTime: time }, updateMask: 'expireTime' });
  assert.equal(updated.json.expireTime, expireTime);
  assert.deepEqual((await call(`GET ${name}`)).json, updated.json);
  assert.deepEqual((await call('GET projects/project/snapshots')).json, { snapshots: [updated.json] });
  assert.deepEqual((await call(`GET ${topic}/snapshots`)).json, { snapshots: [name] });
  await call(`POST ${topic}:publish`, { messages: [{ data: base64('one') }] });
  const immediately = { maxMessages: 10, returnImmediately: true };
  for (const target of [{}, { snapshot: name }, { time: '2020-01-31T01:02:03.123456789+01:00' }]) {
    if (Object.keys(target).length > 0)
      assert.equal((await call(`POST ${subscription}:seek`, target)).text, '{}\n');
    const pulled = await call(`POST ${subscription}:pull`, immediately);
    assert.deepEqual(textsOf(pulled), ['one']);
    await call(`POST ${subscription}:acknowledge`, { ackIds: ackIdsOf(pulled) });
  }
  assert.deepEqual(textsOf(await call(`POST ${subscription}:pull`, immediately)), []);
  assert.deepEqual((await call(`DELETE ${name}`)).json, {});
  await refuses(call, `POST ${subscription}:seek`, { snapshot: name }, [
    404,
    'NOT_FOUND',
    /^Resource not found/,
  ]);
});

test('names the field that is unknown or has a bad value', async (context) => {
  const { call } = await setUp(context);
  const cases: [line: string, body: unknown, message: string | RegExp][] = [
    [
      `PUT ${topic}-2`,
      { lables: {} },
      'Invalid JSON payload received. Unknown name "lables": Cannot find field.',
    ],
    [`PUT ${topic}-2`, { constructor: {} }, /Unknown name "constructor"/],
    [
      `POST ${topic}:publish`,
      { messages: [{ data: 'YQ==' }, { dta: 'YQ==' }] },
      `Invalid JSON payload received. Unknown name "dta" at 'messages[1]': Cannot find field.`,
    ],
    [
      `POST ${topic}:publish`,
      { messages: [{ data: 'a%' }] },
      `Invalid value at 'messages[0].data': base64 is wanted, not "a%".`,
    ],
    [
      `POST ${topic}:publish`,
      { messages: [{ data: 'abcde' }] },
      /^Invalid value at 'messages\[0\].data': base64/,
    ],
    [
      `POST ${topic}:publish`,
      { messages: [{ attributes: { a: 1 } }] },
      `Invalid value at 'messages[0].attributes.a': a string is wanted, not 1.`,
    ],
    [
      `POST ${topic}:publish`,
      { messages: [{ attributes: ['a'] }] },
      /'messages\[0\].attributes': an object is wanted/,
    ],
    [
      `POST ${topic}:publish`,
      `{"messages":[{"attributes":{"__proto__":"a"}}]}`,
      /the key "__proto__" cannot be carried/,
    ],
    [`POST ${topic}:publish`, { messages: {} }, `Invalid value at 'messages': an array is wanted, not {}.`],
    [
      `POST ${topic}:publish`,
      { messages: [null] },
      `Invalid value at 'messages[0]': a value is wanted, not null.`,
    ],
    [`POST ${topic}:publish`, '[]', 'Invalid value: an object is wanted, not [].'],
    [`POST ${topic}:publish`, '{"messages":', /^Invalid JSON payload received\. /],
    [
      `POST ${topic}:publish`,
      Uint8Array.of(0x22, 0xff, 0x22),
      'Invalid JSON payload received. It is no UTF-8.',
    ],
    [
      `POST ${topic}:publish`,
      { messages: [{ orderingKey: '\ud800' }] },
      /orderingKey': a string of whole characters/,
    ],
    [
      `POST ${subscription}:pull`,
      { maxMessages: 'ten' },
      `Invalid value at 'maxMessages': a whole number of 32 bits is wanted, not "ten".`,
    ],
    [`POST ${subscription}:pull`, { maxMessages: 1.5 }, /'maxMessages': a whole number/],
    [`POST ${subscription}:pull`, { maxMessages: 2 ** 31 }, /'maxMessages': a whole number/],
    [
      `POST ${subscription}:pull`,
      { maxMessages: 1, max_messages: 2 },
      `Invalid value at 'max_messages': 'maxMessages' is set already.`,
    ],
    [
      `POST ${subscription}:pull`,
      { returnImmediately: 'yes' },
      /'returnImmediately': true or false is wanted/,
    ],
    [
      `POST ${subscription}:seek`,
      { time: 'yesterday' },
      /'time': a time such as .* is wanted, not "yesterday"/,
    ],
    [`POST ${subscription}:seek`, { time: '2026-13-01T00:00:00Z' }, /'time': a time such as/],
    [
      `POST ${subscription}:seek`,
      { time: '2026-01-01T00:00:00Z', snapshot: 'x' },
      `Invalid value at 'snapshot': 'time' is set already.`,
    ],
    [
      `PUT ${subscription}-2`,
      { topic, messageRetentionDuration: '10m' },
      /'messageRetentionDuration': a duration in seconds/,
    ],
    [
      `PUT ${subscription}-2`,
      { topic, name: subscription },
      /^Invalid value at 'name': ".*" in the body, but ".*-2" in the URL/,
    ],
    [
      `PUT ${subscription}-2`,
      { topic, state: 'BUSY' },
      /'state': one of STATE_UNSPECIFIED, ACTIVE, RESOURCE_ERROR is wanted/,
    ],
    [`PATCH ${topic}`, { topic: {}, updateMask: ['labels'] }, /'updateMask': field names with commas/],
    [`POST ${subscription}:detach`, { subscription: 1 }, /^This method takes no body/],
    [`GET ${topic}?verbose=1`, undefined, /^Unknown name "verbose": Cannot bind query parameter/],
    [`GET ${topic}?alt=media`, undefined, `Invalid value at 'alt': json is wanted, not "media".`],
    [
      'GET projects/project/topics?pageSize=1&pageSize=2',
      undefined,
      `Invalid value at 'pageSize': it is given 2 times.`,
    ],
    ['GET projects/project/topics/%zz', undefined, /^The path is not percent-encoded/],
    [
      `PUT projects/project/topics/a%2520%20b`,
      {},
      'Invalid [topics] name: (name=projects/project/topics/a%20 b)',
    ],
  ];
  for (const [line, body, message] of cases) await refuses(call, line, body, badRequest(message));
});

test('tells the reason of each ack that failed under exactly-once delivery', async (context) => {
  const { call } = await setUp(context, { enableExactlyOnceDelivery: true });
  await call(`POST ${topic}:publish`, { messages: [{ data: base64('one') }] });
  const ackIds = ackIdsOf(await call(`POST ${subscription}:pull`, { maxMessages: 1 }));
  assert.equal((await call(`POST ${subscription}:acknowledge`, { ackIds })).status, 200);
  const error = await refuses(call, `POST ${subscription}:acknowledge`, { ackIds }, badRequest(''));
  assert.deepEqual(error.details, [
    {
      '@type': 'type.googleapis.com/google.rpc.ErrorInfo',
      reason: 'EXACTLY_ONCE_ACKID_FAILURE',
      domain: 'pubsub.googleapis.com',
      metadata: { [String(ackIds[0])]: 'PERMANENT_FAILURE_INVALID_ACK_ID' },
    },
  ]);
});

test('says what is not supported, and that there is no such method', async (context) => {
  const { emulator, call } = await setUp(context);
  const schemas: [number, string, RegExp] = [
    501,
    'UNIMPLEMENTED',
    /^Schemas are not supported by this emulator/,
  ];
  assert.deepEqual((await call('GET projects/project/schemas')).json, {});
  for (const line of [
    'POST projects/project/schemas:validate',
    'GET projects/project/schemas/one:listRevisions',
    'DELETE projects/project/schemas/one',
  ]) {
    await refuses(call, line, undefined, schemas);
  }
  const iam: [number, string, RegExp] = [501, 'UNIMPLEMENTED', /^IAM is not supported by this emulator/];
  await refuses(call, `GET ${topic}:getIamPolicy`, undefined, iam);
  await refuses(call, `POST ${subscription}:setIamPolicy`, { policy: {} }, iam);
  await refuses(call, `POST ${subscription}:testIamPermissions`, { permissions: [] }, iam);
  const bigquery = { topic, bigqueryConfig: { table: 'a.b.c' } };
  await refuses(call, `PUT ${subscription}-2`, bigquery, [
    501,
    'UNIMPLEMENTED',
    /bigqueryConfig of a Subscription/,
  ]);
  for (const line of [
    'POST projects/project',
    `GET ${topic}:publish`,
    `POST ${topic}`,
    'GET projects/a/b/c',
    `OPTIONS ${topic}`,
  ]) {
    await refuses(call, line, undefined, [404, 'NOT_FOUND', /^There is no method for /]);
  }
  const raw = createRawClient(context, emulator.port);
  await assert.rejects(raw('SchemaService', 'GetSchema', Buffer.alloc(0)), /Schemas are not supported/);
});

test('takes the parameters that every Google API has, and prints on one line when asked to', async (context) => {
  const { call } = await setUp(context);
  const parameters =
    'alt=json&$alt=json;enum-encoding=int&key=x&access_token=y&fields=name&quotaUser=z&$.xgafv=2';
  const pretty = await call(`GET ${topic}?${parameters}`);
  assert.equal(pretty.text, `{\n  "name": "${topic}",\n  "state": "ACTIVE"\n}\n`);
  const line = await call(`GET ${topic}?prettyPrint=false`);
  assert.equal(line.text, `{"name":"${topic}","state":"ACTIVE"}\n`);
  assert.equal((await call(`GET ${topic}?$prettyPrint=false`)).text, line.text);
  assert.equal((await call(`GET ${encodeURIComponent(topic)}?prettyPrint=false`)).text, line.text);
});

test('takes a publish of 10 MB, and refuses a longer one and a longer body with the size', async (context) => {
  const { call } = await setUp(context);
  const publishOf = (bytes: number) => ({
    messages: [{ data: Buffer.alloc(bytes, 'x').toString('base64') }],
  });
  const bytesMax = 10_000_000;
  assert.equal((await call(`POST ${topic}:publish`, publishOf(bytesMax - 100))).status, 200);
  const tooLarge = badRequest(
    /^The value for request_size is too large. .* the maximum value is 10000000\.$/,
  );
  await refuses(call, `POST ${topic}:publish`, publishOf(bytesMax), tooLarge);
  const exceeds = badRequest('Request payload size exceeds the limit: 16777216 bytes.');
  await refuses(call, `POST ${topic}:publish`, publishOf(13 * 1024 * 1024), exceeds);
});

test('reads a compressed body, and refuses one that it cannot read or that grows too long', async (context) => {
  const { call } = await setUp(context);
  const body = JSON.stringify({ messages: [{ data: base64('one') }] });
  const gzip = { 'content-encoding': 'gzip' };
  const published = await call(`POST ${topic}:publish`, new Uint8Array(gzipSync(body)), gzip);
  assert.equal(published.status, 200, published.text);
  const bad = await call(`POST ${topic}:publish`, body, gzip);
  assert.match(bad.text, /The body cannot be decompressed: incorrect header check/);
  const bomb = await call(
    `POST ${topic}:publish`,
    new Uint8Array(gzipSync(Buffer.alloc(30_000_000, ' '))),
    gzip,
  );
  assert.match(
    bomb.text,
    /The body cannot be decompressed: Cannot create a Buffer larger than 16777216 bytes/,
  );
  const brotli = await call(`POST ${topic}:publish`, body, { 'content-encoding': 'br' });
  assert.match(brotli.text, /content-encoding br is not read/);
});

test('asks for a body that the client announces, unless it is too long', async (context) => {
  const { emulator } = await setUp(context);
  const body = JSON.stringify({ messages: [{ data: base64('one') }] });
  const announce = (bytes: number) =>
    httpRequest({
      port: emulator.port,
      method: 'POST',
      path: `/v1/${topic}:publish`,
      headers: { expect: '100-continue', 'content-length': bytes },
    });
  const short = announce(body.length);
  short.flushHeaders();
  await once(short, 'continue');
  short.end(body);
  const [published] = await once(short, 'response');
  assert.equal(published.statusCode, 200);
  published.resume();
  const long = announce(30_000_000);
  long.flushHeaders();
  long.on('continue', () => assert.fail('the body was asked for'));
  const [refused] = await once(long, 'response');
  assert.equal(refused.statusCode, 400);
  assert.match(await textOf(refused), /exceeds the limit/);
});

test('holds two of the longest bodies at once, and refuses a third', async (context) => {
  const { emulator, call } = await setUp(context);
  const bodyBytesMax = 16_777_216;
  const requests = [1, 2, 3].map(() => {
    const headers = { 'content-length': bodyBytesMax };
    const path = `/v1/${topic}:publish`;
    const request = httpRequest({ port: emulator.port, method: 'POST', path, headers });
    request.on('error', () => {}); // it is cut off below
    request.write(Buffer.alloc(bodyBytesMax - 1, ' '));
    return request;
  });
  const [refused] = await Promise.race(requests.map((request) => once(request, 'response')));
  assert.equal(refused.statusCode, 429);
  assert.match(
    await textOf(refused),
    /Requests of 33554432 bytes are under way, which is the limit. Try again./,
  );
  for (const request of requests) request.destroy();
  const messages = [{ data: base64('one') }];
  await until(async () => (await call(`POST ${topic}:publish`, { messages })).status === 200);
});

test('goes on taking bodies after it refused too long ones that came all the same', async (context) => {
  const { emulator } = await setUp(context);
  // One connection: the next request is read when the body before it is over.
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  context.after(() => agent.destroy());
  const publish = async (body: Buffer) => {
    const request = httpRequest({ agent, port: emulator.port, method: 'POST', path: `/v1/${topic}:publish` });
    request.end(body);
    const [[response]] = await Promise.all([once(request, 'response'), once(request, 'finish')]);
    return { status: response.statusCode, text: await textOf(response) };
  };
  for (let count = 0; count < 3; count++) {
    const { status, text } = await publish(Buffer.alloc(17_000_000, ' '));
    assert.equal(status, 400);
    assert.match(text, /exceeds the limit: 16777216 bytes/);
  }
  const body = Buffer.from(JSON.stringify({ messages: [{ data: base64('one') }] }));
  assert.equal((await publish(body)).status, 200);
});

test('lets web pages of the origins that it was given call it, and of any by *', async (context) => {
  const origin = 'https://shop.test';
  for (const [corsOrigins, allowed] of [
    [[], null],
    [['https://mails.test'], null],
    [['https://mails.test', origin], origin],
    [['*'], origin],
  ] as const) {
    const { port } = await startEmulator(context, { corsOrigins });
    const { headers } = await fetch(`http://127.0.0.1:${port}/v1/projects/project/topics`, {
      headers: { origin },
    });
    assert.equal(headers.get('access-control-allow-origin'), allowed);
  }
});

test('forgets a waiting pull whose client has gone', async (context) => {
  const { emulator, call } = await setUp(context);
  const gone = new AbortController();
  const url = `http://127.0.0.1:${emulator.port}/v1/${subscription}:pull`;
  const waiting = fetch(url, { method: 'POST', body: '{"maxMessages":1}', signal: gone.signal });
  const consumerCount = () => emulator.broker.backlog()[0]?.consumerCount;
  await until(() => consumerCount() === 1);
  gone.abort();
  await assert.rejects(waiting, { name: 'AbortError' });
  await until(() => consumerCount() === 0);
  await call(`POST ${topic}:publish`, { messages: [{ data: base64('one') }] });
  assert.deepEqual(textsOf(await call(`POST ${subscription}:pull`, { maxMessages: 1 })), ['one']);
});

test('gives a pull an empty answer a second before the X-Server-Timeout of its client', async (context) => {
  const { call } = await setUp(context);
  const started = performance.now();
  const headers = { 'x-server-timeout': '1.05' };
  const pulled = await call(`POST ${subscription}:pull`, { maxMessages: 1 }, headers);
  assert.equal(pulled.text, '{}\n');
  assert.ok(performance.now() - started < 30_000, 'it waited as without a deadline');
});

test('waits for a message as long as a client wants that waits for 30 days', async (context) => {
  const { emulator, call } = await setUp(context);
  const headers = { 'x-server-timeout': '2592000' };
  let isAnswered = false;
  const waiting = call(`POST ${subscription}:pull`, { maxMessages: 1 }, headers).finally(() => {
    isAnswered = true;
  });
  await until(() => isAnswered || emulator.broker.backlog()[0]?.consumerCount === 1);
  await call(`POST ${topic}:publish`, { messages: [{ data: base64('one') }] });
  assert.deepEqual(textsOf(await waiting), ['one']);
});

test('ends waiting pulls with UNAVAILABLE when it closes, and answers them', async (context) => {
  const { emulator, call } = await setUp(context);
  const waiting = refuses(call, `POST ${subscription}:pull`, { maxMessages: 1 }, [
    503,
    'UNAVAILABLE',
    'The emulator is shutting down.',
  ]);
  await until(() => emulator.broker.backlog()[0]?.consumerCount === 1);
  await Promise.all([emulator.close(), waiting]);
});

test('closes every connection when it closes, also one whose request is not there yet', async (context) => {
  const { emulator } = await setUp(context);
  const sockets = ['GET /healthz HTTP/1.1\r\n', 'P'].map((begun) => {
    const socket = connect(emulator.port, '127.0.0.1');
    socket.on('error', () => {}); // it is cut off
    socket.resume();
    socket.write(begun);
    return socket;
  });
  await fetch(`http://127.0.0.1:${emulator.port}/healthz`);
  await emulator.close();
  await until(() => sockets.every(({ destroyed }) => destroyed));
});
