/** gRPC as raw bytes: limits, statuses, keepalive, health and how it closes. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Client, credentials, type ServiceError, status } from '@grpc/grpc-js';
import { createFolder } from '../../test/process.ts';
import type { Emulator } from '../src/emulator.ts';
import { encodeField, FieldScanner } from '../src/protobuf.ts';
import { startEmulator } from './harness.ts';
import { createRawClient, publishRequest, pullRequest, readPulled, startProcess } from './process.ts';

const topic = 'projects/project/topics/orders';
const subscription = 'projects/project/subscriptions/orders-writer';
const asBytes = (bytes: Buffer) => bytes;

async function setUp(context: TestContext, settings: Record<string, unknown> = {}) {
  const declarations = JSON.stringify({
    topics: [{ name: topic }],
    subscriptions: [{ name: subscription, topic, ...settings }],
  });
  const emulator = await startEmulator(context, { declarations });
  return { emulator, call: createRawClient(context, emulator.port) };
}

function hasStatus(code: status, text: string | RegExp) {
  return (error: unknown) => {
    const { code: actual, details } = error as ServiceError;
    assert.equal(actual, code, details);
    if (typeof text === 'string') assert.equal(details, text);
    else assert.match(details, text);
    return true;
  };
}

function openStream(context: TestContext, { port }: Emulator) {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  context.after(() => client.close());
  return client.makeBidiStreamRequest('/google.pubsub.v1.Subscriber/StreamingPull', asBytes, asBytes);
}

/** subscription, stream_ack_deadline_seconds, protocol_version. */
function firstRequest(deadlineSeconds = 10, protocolVersion = 1): Buffer {
  return Buffer.concat([
    encodeField(1, subscription),
    Buffer.from([5 << 3, deadlineSeconds, 10 << 3, protocolVersion]),
  ]);
}

test('answers with the status and text of the service', async (context) => {
  const { call } = await setUp(context);
  const ids = Buffer.concat([encodeField(1, subscription), encodeField(2, 'garbage')]);
  await assert.rejects(
    call('Subscriber', 'Acknowledge', ids),
    hasStatus(status.INVALID_ARGUMENT, 'Invalid ack id (ack_id=garbage)'),
  );
  await assert.rejects(
    call('Subscriber', 'Acknowledge', encodeField(1, subscription)),
    hasStatus(status.INVALID_ARGUMENT, 'No ack ids specified.'),
  );
  await assert.rejects(
    call('Publisher', 'Publish', publishRequest(`${topic}-none`, ['x'])),
    hasStatus(status.NOT_FOUND, /^Resource not found/),
  );
  await assert.rejects(
    call('Publisher', 'Publish', Buffer.concat([encodeField(1, topic), encodeField(2, '')])),
    hasStatus(status.INVALID_ARGUMENT, 'Some messages are empty'),
  );
  await assert.rejects(
    call('Publisher', 'CreateTopic', encodeField(1, 'projects/project/topics/é')),
    hasStatus(status.INVALID_ARGUMENT, 'Invalid [topics] name: (name=projects/project/topics/é)'),
  );
  await assert.rejects(
    call('SchemaService', 'GetSchema', Buffer.alloc(0)),
    hasStatus(status.UNIMPLEMENTED, /^Schemas are not supported by this emulator/),
  );
  await assert.rejects(
    call('Publisher', 'Publish', Buffer.from([0x0a, 0x50, 0x61])),
    hasStatus(status.INVALID_ARGUMENT, /cannot be decoded/),
  );
});

test('reads a number of ten bytes, of either sign, and refuses a field number of more than 29 bits', async (context) => {
  const { call } = await setUp(context);
  await call('Publisher', 'Publish', publishRequest(topic, ['one']));
  const pull = (more: Buffer) =>
    call('Subscriber', 'Pull', Buffer.concat([encodeField(1, subscription), more]));
  const messagesMax = (value: string) => pull(Buffer.from(`18${value}`, 'hex'));
  await assert.rejects(
    messagesMax('ffffffffffffffffff01'), // -1
    hasStatus(status.INVALID_ARGUMENT, 'max_messages must be positive'),
  );
  await assert.rejects(
    messagesMax('ffffffffffffffffff02'),
    hasStatus(status.INVALID_ARGUMENT, /cannot be decoded: A number is longer than 64 bits/),
  );
  assert.equal(readPulled(await messagesMax('81808080808080808000')).length, 1);
  for (const [tag, field] of [
    ['8a80808010', 2 ** 29 + 1],
    ['f8ffffffffffffffff01', -1],
    ['00', 0],
  ] as const) {
    await assert.rejects(
      pull(Buffer.from(`${tag}00`, 'hex')),
      hasStatus(
        status.INVALID_ARGUMENT,
        `The request cannot be decoded: A field has number ${field}, which is not between 1 and 2^29 - 1.`,
      ),
    );
  }
});

test('takes no text that is no UTF-8: strict clients would refuse whatever response has it', async (context) => {
  const { call } = await setUp(context);
  // A lone surrogate, as the Node client sends it.
  const lone = Buffer.from('eda0bd', 'hex');
  const attribute = (key: Buffer | string, value: Buffer | string) =>
    encodeField(2, Buffer.concat([encodeField(1, key), encodeField(2, value)]));
  const publish = (...fields: Buffer[]) =>
    call(
      'Publisher',
      'Publish',
      Buffer.concat([encodeField(1, topic), encodeField(2, Buffer.concat(fields))]),
    );
  for (const [field, text] of [
    [attribute(lone, 'letter'), 'An attribute key is no UTF-8.'],
    [attribute('kind', lone), 'An attribute value is no UTF-8 (key=kind).'],
    [encodeField(5, lone), 'An ordering key is no UTF-8.'],
  ] as const) {
    await assert.rejects(publish(encodeField(1, 'x'), field), hasStatus(status.INVALID_ARGUMENT, text));
  }
  await publish(encodeField(1, lone), attribute('вид', '😀'), encodeField(5, 'ключ'));
});

test('takes a publish of 10 MB and refuses a larger one at once', async (context) => {
  const { call } = await setUp(context);
  const overhead = publishRequest(topic, ['x'.repeat(10_000_000)]).length - 10_000_000;
  const largest = 'x'.repeat(10_000_000 - overhead);
  assert.equal((await call('Publisher', 'Publish', publishRequest(topic, [largest]))).length, 2 + 19);
  const pulled = readPulled(
    await call('Subscriber', 'Pull', pullRequest(subscription, 10)).catch(() => Buffer.alloc(0)),
  );
  assert.ok(pulled.length <= 1);
  await assert.rejects(
    call('Publisher', 'Publish', publishRequest(topic, [`${largest}x`])),
    hasStatus(status.INVALID_ARGUMENT, /^The value for request_size is too large/),
  );
  await assert.rejects(
    call('Publisher', 'Publish', publishRequest(topic, ['x'.repeat(20_000_000)])),
    hasStatus(status.RESOURCE_EXHAUSTED, /larger than max/),
  );
});

test('sends no several messages in a response above the 4 MiB that clients read by default', async (context) => {
  const { call, emulator } = await setUp(context);
  for (const bytes of [200_000, 4_100_000, 200_000, 2_000_000, 2_000_000]) {
    await call('Publisher', 'Publish', publishRequest(topic, ['x'.repeat(bytes)]));
  }
  const stream = openStream(context, emulator);
  stream.write(firstRequest());
  let receivedBytes = 0;
  for await (const response of stream) {
    receivedBytes += (response as Buffer).length;
    if (receivedBytes > 8_500_000) break;
  }
});

test('replaces a message_id and publish_time that a client sends', async (context) => {
  const { call } = await setUp(context);
  const message = Buffer.concat([
    encodeField(1, 'text'),
    encodeField(3, 'mine'),
    encodeField(4, Buffer.from([8, 1])),
  ]);
  const response = await call(
    'Publisher',
    'Publish',
    Buffer.concat([encodeField(1, topic), encodeField(2, message)]),
  );
  const pulled = await call('Subscriber', 'Pull', pullRequest(subscription, 1));
  const published = new FieldScanner(response);
  published.next();
  assert.ok(pulled.includes(published.text()));
  assert.ok(!pulled.includes('mine'));
});

test('answers the keepalive of protocol version 1, and refuses a bad first request', async (context) => {
  const { emulator } = await setUp(context);
  const stream = openStream(context, emulator);
  stream.on('error', () => {});
  stream.write(firstRequest());
  stream.write(Buffer.alloc(0));
  const [response] = (await once(stream, 'data')) as [Buffer];
  assert.deepEqual([...response], [(4 << 3) | 2, 0]);
  stream.cancel();
  const bad = openStream(context, emulator);
  bad.write(firstRequest(9));
  const [error] = await once(bad, 'error').catch((cause: Error) => [cause]);
  hasStatus(status.INVALID_ARGUMENT, 'stream_ack_deadline_seconds must be between 10 and 600 seconds')(error);
});

test('takes acks in requests of up to 512 KiB, and refuses larger ones', async (context) => {
  const { call } = await setUp(context);
  await call('Publisher', 'Publish', publishRequest(topic, ['one']));
  const [received] = readPulled(await call('Subscriber', 'Pull', pullRequest(subscription, 1)));
  const id = encodeField(2, received?.ackId ?? '');
  const head = encodeField(1, subscription);
  const idsMax = Math.floor((512 * 1024 - head.length) / id.length);
  const request = (count: number) => Buffer.concat([head, ...Array.from({ length: count }, () => id)]);
  await assert.rejects(
    call('Subscriber', 'Acknowledge', request(idsMax + 1)),
    hasStatus(status.INVALID_ARGUMENT, 'Request payload size exceeds the limit: 524288 bytes.'),
  );
  await call('Subscriber', 'Acknowledge', request(idsMax));
});

test('names as many failed acks as a client takes in a status, and the connection goes on', async (context) => {
  const { call } = await setUp(context, { enableExactlyOnceDelivery: true });
  await call('Publisher', 'Publish', publishRequest(topic, Array(1_000).fill('x')));
  const pulled = readPulled(await call('Subscriber', 'Pull', pullRequest(subscription, 1_000)));
  assert.equal(pulled.length, 1_000);
  const ids = pulled.map(({ ackId }) => encodeField(2, ackId));
  const request = Buffer.concat([encodeField(1, subscription), ...ids]);
  await call('Subscriber', 'Acknowledge', request);
  await assert.rejects(call('Subscriber', 'Acknowledge', request), (error: ServiceError) => {
    hasStatus(status.INVALID_ARGUMENT, '')(error);
    const details = String(error.metadata.get('grpc-status-details-bin')[0]);
    assert.equal(details.split('PERMANENT_FAILURE_INVALID_ACK_ID').length - 1, 65);
    assert.ok(details.includes(pulled[0]?.ackId ?? 'none'));
    return true;
  });
});

test('cuts a text that quotes a long name', async (context) => {
  const { call } = await setUp(context);
  await assert.rejects(
    call('Publisher', 'CreateTopic', encodeField(1, 'é'.repeat(100_000))),
    hasStatus(status.INVALID_ARGUMENT, /^Invalid \[topics\] name: \(name=é{900,1000}/),
  );
});

test('refuses a Pull that is longer than what it says', async (context) => {
  const { call } = await setUp(context);
  const request = Buffer.concat([pullRequest(subscription, 1), encodeField(15, 'x'.repeat(4_096))]);
  await assert.rejects(
    call('Subscriber', 'Pull', request),
    hasStatus(status.INVALID_ARGUMENT, 'Request payload size exceeds the limit: 4096 bytes.'),
  );
});

test('confirms acks on a stream under exactly-once delivery', async (context) => {
  const { emulator, call } = await setUp(context, { enableExactlyOnceDelivery: true });
  await call('Publisher', 'Publish', publishRequest(topic, ['one']));
  const stream = openStream(context, emulator);
  stream.on('error', () => {});
  stream.write(firstRequest());
  const [delivery] = (await once(stream, 'data')) as [Buffer];
  const [received] = readPulled(delivery);
  stream.write(encodeField(2, received?.ackId ?? ''));
  const [confirmed] = (await once(stream, 'data')) as [Buffer];
  const fields = new FieldScanner(confirmed);
  fields.next();
  assert.equal(fields.field, 5);
  assert.deepEqual(confirmed.subarray(fields.start, fields.end), encodeField(1, received?.ackId ?? ''));
  stream.write(encodeField(2, received?.ackId ?? ''));
  const [refused] = (await once(stream, 'data')) as [Buffer];
  const again = new FieldScanner(refused);
  again.next();
  assert.deepEqual(refused.subarray(again.start, again.end), encodeField(2, received?.ackId ?? ''));
  stream.cancel();
});

test('closes the streams of a subscription that is deleted', async (context) => {
  const { emulator, call } = await setUp(context);
  const stream = openStream(context, emulator);
  stream.write(firstRequest());
  stream.write(Buffer.alloc(0));
  await once(stream, 'data');
  const failed = once(stream, 'error').catch((cause: Error) => [cause]);
  await call('Subscriber', 'DeleteSubscription', encodeField(1, subscription));
  const [error] = await failed;
  hasStatus(status.NOT_FOUND, 'Resource not found (resource=orders-writer).')(error);
});

test('gives Pull an empty answer before the client gives up', async (context) => {
  const { emulator } = await setUp(context);
  const client = new Client(`127.0.0.1:${emulator.port}`, credentials.createInsecure());
  context.after(() => client.close());
  const request = Buffer.concat([encodeField(1, subscription), Buffer.from([3 << 3, 10])]);
  const response = await new Promise<Buffer | undefined>((resolve, reject) => {
    const deadline = Date.now() + 1_300;
    const path = '/google.pubsub.v1.Subscriber/Pull';
    client.makeUnaryRequest(path, asBytes, asBytes, request, { deadline }, (error, answer) => {
      if (error) reject(error);
      else resolve(answer);
    });
  });
  assert.equal(response?.length, 0);
});

test('tells its health over gRPC and HTTP on the same port', async (context) => {
  const { emulator } = await setUp(context);
  const client = new Client(`127.0.0.1:${emulator.port}`, credentials.createInsecure());
  context.after(() => client.close());
  const health = await new Promise<Buffer | undefined>((resolve, reject) => {
    client.makeUnaryRequest(
      '/grpc.health.v1.Health/Check',
      asBytes,
      asBytes,
      Buffer.alloc(0),
      (error, answer) => {
        if (error) reject(error);
        else resolve(answer);
      },
    );
  });
  assert.deepEqual([...(health ?? [])], [8, 1]);
  for (const [path, code, text] of [
    ['/', 200, /^Ok\n$/],
    ['/healthz', 200, /ok/],
    ['/readyz', 200, /ready/],
    [
      '/metrics',
      200,
      /pubsub_emulator_unacked_messages\{subscription="projects\/project\/subscriptions\/orders-writer"\} 0/,
    ],
    ['/_emulator/backlog', 200, /unackedCount/],
    ['/none', 404, /Not Found/],
  ] as const) {
    const response = await fetch(`http://127.0.0.1:${emulator.port}${path}`);
    assert.equal(response.status, code);
    assert.match(await response.text(), text);
  }
});

test('escapes the names in its metrics, of which old folders may have any', async (context) => {
  const { emulator } = await setUp(context);
  const { registry } = emulator.broker;
  const [settings] = [...registry.subscriptions.values()].map((one) => one.settings);
  assert.ok(settings);
  const evil = { ...settings, name: 'projects/a"b\nevil{}\\/subscriptions/orders' };
  const number = registry.lastNumber + 1;
  registry.apply({ type: 'subscription', number, topic: 1, settings: evil, start: 0 });
  const text = await (await fetch(`http://127.0.0.1:${emulator.port}/metrics`)).text();
  const line = String.raw`pubsub_emulator_consumers{subscription="projects/a\"b\nevil{}\\/subscriptions/orders"} 0`;
  assert.ok(text.split('\n').includes(line), text);
});

test('tells those who watch its health that it closes', async (context) => {
  const { emulator } = await setUp(context);
  const client = new Client(`127.0.0.1:${emulator.port}`, credentials.createInsecure());
  context.after(() => client.close());
  const path = '/grpc.health.v1.Health/Watch';
  const [all, unknown] = ['', 'nobody'].map((service) =>
    client.makeServerStreamRequest(path, asBytes, asBytes, encodeField(1, service)),
  );
  const states = async (stream: typeof all) => (await stream?.toArray())?.map((state: Buffer) => state[1]);
  const told = Promise.all([states(all), states(unknown)]);
  const known = [all, unknown].map((stream) => once(stream as NonNullable<typeof stream>, 'metadata'));
  await Promise.all(known);
  await emulator.close();
  assert.deepEqual(await told, [
    [1, 2],
    [3, 3],
  ]);
});

test('stays up under nonsense: random bytes, half a preface, HTTP/2 that is no gRPC', async (context) => {
  const { emulator, call } = await setUp(context);
  for (const bytes of ['P', 'PRI * HTTP/2.0\r\n', '\x16\x03\x01\x02', 'GET', '\0'.repeat(1_000)]) {
    const socket = connect(emulator.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.resume();
    socket.end(bytes);
    await once(socket, 'close');
  }
  const session = connectHttp2(`http://127.0.0.1:${emulator.port}`);
  const request = session.request({ ':path': '/' });
  const [headers] = await once(request, 'response');
  assert.equal(headers[':status'], 415);
  request.resume();
  session.close();
  await call('Publisher', 'Publish', publishRequest(topic, ['still there']));
});

test('ends with 0 on SIGTERM, and its streams with UNAVAILABLE', async (context) => {
  const declarations = JSON.stringify({
    topics: [{ name: 'orders' }],
    subscriptions: [{ name: 'orders-writer', topic: 'orders' }],
  });
  const flags = [`--data-dir=${createFolder()}`, '--project=project', `--declare=${declarations}`];
  const emulator = await startProcess(context, flags);
  const client = new Client(`127.0.0.1:${emulator.port}`, credentials.createInsecure());
  const stream = client.makeBidiStreamRequest('/google.pubsub.v1.Subscriber/StreamingPull', asBytes, asBytes);
  stream.write(firstRequest());
  stream.write(Buffer.alloc(0));
  await once(stream, 'data');
  const failed = once(stream, 'error').catch((cause: Error) => [cause]);
  const ended = emulator.kill('SIGTERM');
  hasStatus(status.UNAVAILABLE, 'The emulator is shutting down.')((await failed)[0]);
  assert.equal(await ended, 0);
  client.close();
});

test('refuses a declaration that differs from what exists', async (context) => {
  const dataDir = createFolder();
  const declare = (seconds: number) =>
    JSON.stringify({
      topics: [{ name: topic }],
      subscriptions: [{ name: subscription, topic, ackDeadlineSeconds: seconds }],
    });
  const first = await startEmulator(context, { dataDir, declarations: declare(20) });
  await first.close();
  const second = await startEmulator(context, { dataDir, declarations: declare(20) });
  await second.close();
  await assert.rejects(
    startEmulator(context, { dataDir, declarations: declare(30) }),
    /\(projects\/project\/subscriptions\/orders-writer\): it exists with ackDeadlineMs 20000, but 30000 is declared/,
  );
});

test('declares with short names and either case, and names what is wrong in a declaration', async (context) => {
  const declare = (declarations: unknown) =>
    startEmulator(context, { project: 'project', declarations: JSON.stringify(declarations) });
  const { broker } = await declare({
    topics: [{ name: 'orders', message_retention_duration: '600s' }],
    subscriptions: [
      {
        name: 'orders-writer',
        topic: 'orders',
        deadLetterPolicy: { deadLetterTopic: 'orders' },
        retry_policy: { minimumBackoff: '1.5s' },
      },
    ],
  });
  assert.equal(broker.registry.topics.get(topic)?.settings.retentionMs, 600_000);
  const { deadLetterPolicy, retryPolicy } = broker.registry.subscriptions.get(subscription)?.settings ?? {};
  assert.deepEqual(deadLetterPolicy, { topic, attemptsMax: 5 });
  assert.equal(retryPolicy?.minimumBackoffMs, 1_500);
  const cases: [declarations: unknown, message: RegExp][] = [
    [{ topic: [] }, /^Error: Bad declarations: Unrecognized key: "topic"/],
    [{ topics: [{}] }, /: topics\[0\]: Invalid \[topics\] name: \(name=projects\/project\/topics\/\)/],
    [{ topics: [{ name: 'orders', lables: {} }] }, /Unknown name "lables" at 'topics\[0\]'/],
    [
      { subscriptions: [{ name: 'orders-writer', topic: 'orders', messageRetentionDuration: '10m' }] },
      /Invalid value at 'subscriptions\[0\]\.messageRetentionDuration': a duration in seconds such as 600s/,
    ],
  ];
  for (const [declarations, message] of cases) await assert.rejects(declare(declarations), message);
});

test('says which declaration the broker refuses, and in which file', async (context) => {
  const file = join(createFolder(), 'declarations.json');
  const writer = { name: 'orders-writer', topic: 'orders' };
  const deadLetterPolicy = { deadLetterTopic: 'none' };
  const topics = [{ name: 'orders' }];
  const cases: [declarations: unknown, message: string][] = [
    [
      { topics: [...topics, { name: 'mails', kmsKeyName: 'key' }] },
      'topics[1] (mails): kmsKeyName of a Topic is not supported by this emulator. Leave it out here.',
    ],
    [{ subscriptions: [writer] }, 'subscriptions[0] (orders-writer): Resource not found (resource=orders).'],
    [
      { topics, subscriptions: [writer, { ...writer, name: 'orders-audit', ackDeadlineSeconds: 5 }] },
      'subscriptions[1] (orders-audit): ack_deadline_secs out of bounds',
    ],
    [
      { topics, subscriptions: [{ ...writer, deadLetterPolicy }] },
      'subscriptions[0] (orders-writer): Resource not found (resource=none).',
    ],
    [
      { topics: [...topics, { name: 'orders', messageRetentionDuration: '600s' }] },
      'topics[1] (orders): it exists with retentionMs undefined, but 600000 is declared. Update or delete it, or correct the declaration.',
    ],
  ];
  for (const [declarations, message] of cases) {
    writeFileSync(file, JSON.stringify(declarations));
    for (const [source, where] of [
      [file, ` in ${file}`],
      [JSON.stringify(declarations), ''],
    ] as const) {
      await assert.rejects(
        startEmulator(context, { project: 'project', declarations: source }),
        (error: Error) => {
          assert.equal(error.message, `Bad declarations${where}: ${message}`);
          assert.ok(error.cause);
          return true;
        },
      );
    }
  }
  const folder = createFolder();
  await assert.rejects(startEmulator(context, { declarations: folder }), {
    message: `Bad declarations in ${folder}: EISDIR: illegal operation on a directory, read`,
  });
});
