/**
 * Nonsense, floods and slow clients on the port of a real process: it stays up, answers the others, and its memory
 * stays within a bound. Everything is sent to loopback, in fixed numbers.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect as connectHttp2,
  constants as http2,
} from 'node:http2';
import { connect, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { memoryBytes } from '../../stress-test/memory.ts';
import { createFolder } from '../../test/process.ts';
import { until } from '../../test/until.ts';
import { encodeField } from '../src/protobuf.ts';
import {
  createRawClient,
  type EmulatorProcess,
  publishRequest,
  pullRequest,
  readPulled,
  startProcess,
} from './process.ts';

const topic = 'projects/project/topics/orders';
const subscription = 'projects/project/subscriptions/orders-writer';
const exactTopic = 'projects/project/topics/payments';
const exact = 'projects/project/subscriptions/payments-once';
const largeTopic = 'projects/project/topics/images';
const large = 'projects/project/subscriptions/images-writer';
const poisonTopic = 'projects/project/topics/poison';
const poison = 'projects/project/subscriptions/poison-writer';
const deadTopic = 'projects/project/topics/poison-dead';
const declarations = JSON.stringify({
  topics: [topic, exactTopic, largeTopic, poisonTopic, deadTopic].map((name) => ({ name })),
  subscriptions: [
    { name: subscription, topic },
    { name: exact, topic: exactTopic, enableExactlyOnceDelivery: true },
    { name: large, topic: largeTopic },
    {
      name: poison,
      topic: poisonTopic,
      ackDeadlineSeconds: 600,
      deadLetterPolicy: { deadLetterTopic: deadTopic, maxDeliveryAttempts: 5 },
    },
  ],
});
const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
/**
 * What a test may leave behind, and all of it together: the pools of buffers, and garbage that V8 has had no reason to
 * collect. Where a test is of a bound, what it sends is 200 MB and more, so that keeping it shows.
 */
const growthBytesMax = 150e6;

const cleanups: (() => unknown)[] = [];
const context = { after: (cleanup: () => unknown) => cleanups.push(cleanup) };
let emulator: EmulatorProcess;
let bytesBefore = 0;

before(async () => {
  const flags = [`--data-dir=${createFolder()}`, `--declare=${declarations}`];
  emulator = await startProcess(context, flags);
  await answers();
  bytesBefore = rssAnonBytes();
});
after(() => {
  for (const cleanup of cleanups.reverse()) cleanup();
});

function rssAnonBytes(): number {
  return memoryBytes(emulator.pid, 'RssAnon');
}

async function grewLittleSince(bytes: number): Promise<void> {
  await until(async () => {
    await answers();
    return rssAnonBytes() - bytes < growthBytesMax;
  });
}

/** A new client is served, over HTTP and gRPC. */
async function answers(): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${emulator.port}/healthz`, {
    headers: { connection: 'close' },
  });
  assert.equal(response.status, 200);
  const call = createRawClient(context, emulator.port);
  await call('Publisher', 'Publish', publishRequest(topic, ['still here']));
}

interface Backlog {
  subscription: string;
  unackedCount: number;
  outstandingCount: number;
}

async function backlogOf(name: string): Promise<Backlog> {
  const response = await fetch(`http://127.0.0.1:${emulator.port}/_emulator/backlog`);
  const { subscriptions } = (await response.json()) as { subscriptions: Backlog[] };
  return subscriptions.find((one) => one.subscription === name) ?? assert.fail(name);
}

async function open(): Promise<Socket> {
  const socket = connect(emulator.port, '127.0.0.1');
  socket.on('error', () => {});
  socket.resume();
  cleanups.push(() => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

/** Sends bytes and goes away, or is sent away. */
async function send(...pieces: Buffer[]): Promise<void> {
  const socket = await open();
  for (const piece of pieces) if (!socket.destroyed) socket.write(piece);
  socket.end();
  await until(() => socket.destroyed || socket.readableEnded || socket.writableFinished);
  socket.destroy();
}

function openSession(): ClientHttp2Session {
  const session = connectHttp2(`http://127.0.0.1:${emulator.port}`);
  session.on('error', () => {});
  cleanups.push(() => session.destroy());
  return session;
}

function begin(session: ClientHttp2Session, method: string, headers: object = {}): ClientHttp2Stream {
  const stream = session.request({
    ':method': 'POST',
    ':path': `/google.pubsub.v1.${method}`,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...headers,
  });
  stream.on('error', () => {});
  return stream;
}

/** The status of a call, from its headers or trailers. */
async function statusOf(stream: ClientHttp2Stream): Promise<string> {
  const status = Promise.withResolvers<string>();
  const look = (headers: object) => {
    const code = (headers as Record<string, string>)['grpc-status'];
    if (code !== undefined) status.resolve(code);
  };
  stream.on('response', look);
  stream.on('trailers', look);
  stream.on('close', () => status.resolve('closed'));
  stream.resume();
  return status.promise;
}

function framed(message: Buffer, length = message.length, flag = 0): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = flag;
  prefix.writeUInt32BE(length, 1);
  return Buffer.concat([prefix, message]);
}

/** An HTTP/2 frame. https://www.rfc-editor.org/rfc/rfc9113#name-frame-format */
function http2Frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

const settings = http2Frame(4, 0, 0, Buffer.alloc(0));

test('answers those who ask while others send nothing of what they began, and ends these after 30 s', async () => {
  const session = openSession();
  const silent = begin(session, 'Publisher/Publish');
  silent.write(framed(Buffer.alloc(10), 1_000));
  const silentStream = begin(session, 'Subscriber/StreamingPull');
  silentStream.write(Buffer.alloc(2));
  // A request of a stream that is open, of which only the length comes.
  const halfStream = begin(session, 'Subscriber/StreamingPull');
  const first = framed(Buffer.concat([encodeField(1, exact), Buffer.from([5 << 3, 60])]));
  halfStream.write(Buffer.concat([first, framed(Buffer.alloc(0), 1_000)]));
  const statuses = Promise.all([silent, silentStream, halfStream].map(statusOf));
  const slow = await open();
  slow.write('GET / HTTP/1.1\r\n');
  const halfBody = await open();
  const answer = once(halfBody, 'data');
  halfBody.write(`POST /v1/${topic}:publish HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{`);

  await nonsense();
  await floods();
  await badMessages();
  await hugeAnnouncements();
  await idleConnections();

  assert.deepEqual(await statuses, ['4', '4', '4']); // DEADLINE_EXCEEDED
  assert.match(String(await answer), /^HTTP\/1.1 504 .*Nothing of the body came for 30 s/s);
  await until(() => slow.destroyed);
  await answers();
  await grewLittleSince(bytesBefore);
});

async function nonsense(): Promise<void> {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 2_000 }), fc.nat(3), async (bytes, kind) => {
      const start = [Buffer.alloc(0), preface.subarray(0, 10), preface, Buffer.concat([preface, settings])][
        kind
      ];
      await send(start ?? preface, Buffer.from(bytes));
    }),
    { numRuns: 200 },
  );
  await send(Buffer.from(`GET /${'x'.repeat(100_000)} HTTP/1.1\r\n\r\n`));
  await send(Buffer.from(`GET / HTTP/1.1\r\n${'a: b\r\n'.repeat(100_000)}\r\n`));
  await send(preface, http2Frame(0, 0, 1, Buffer.alloc(16_385)));
  await send(preface, settings, http2Frame(255, 255, 0xffff_ffff, Buffer.alloc(100)));
  await answers();
}

async function floods(): Promise<void> {
  const ping = http2Frame(6, 0, 0, Buffer.alloc(8));
  await send(preface, settings, Buffer.concat(Array.from({ length: 20_000 }, () => ping)));
  await send(preface, settings, Buffer.concat(Array.from({ length: 20_000 }, () => settings)));
  // A header block that never ends: CVE-2024-27983.
  const continuation = http2Frame(9, 0, 1, Buffer.alloc(16_000, 0x40));
  await send(preface, settings, http2Frame(1, 0, 1, Buffer.from([0x83])), ...Array(2_000).fill(continuation));
  // Calls that are begun and cancelled at once: CVE-2023-44487.
  const session = openSession();
  for (let count = 0; count < 5_000 && !session.destroyed; count++) {
    begin(session, 'Subscriber/StreamingPull').close();
    if (count % 500 === 0) await new Promise(setImmediate);
  }
  session.destroy();
  await answers();
}

async function badMessages(): Promise<void> {
  const methods = ['Publish', 'CreateTopic', 'ListTopics'].map((name) => `Publisher/${name}`);
  methods.push(
    ...['Pull', 'Acknowledge', 'ModifyAckDeadline', 'CreateSubscription', 'Seek', 'StreamingPull'].map(
      (name) => `Subscriber/${name}`,
    ),
  );
  const session = openSession();
  const statuses = new Set<string>();
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...methods),
      fc.uint8Array({ minLength: 1, maxLength: 300 }),
      async (method, bytes) => {
        const stream = begin(session, method);
        stream.end(framed(Buffer.from(bytes)));
        statuses.add(await statusOf(stream));
      },
    ),
    { numRuns: 500 },
  );
  // Of what is nonsense nothing is a fault of the emulator's: INTERNAL, UNKNOWN, DATA_LOSS.
  assert.deepEqual(
    [...statuses].filter((status) => ['2', '13', '15', 'closed'].includes(status)),
    [],
  );
  const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024));
  const bombed = begin(session, 'Publisher/Publish', { 'grpc-encoding': 'gzip' });
  bombed.end(framed(bomb, bomb.length, 1));
  assert.equal(await statusOf(bombed), '8'); // RESOURCE_EXHAUSTED
  const unknown = begin(session, 'Publisher/Publish', { 'grpc-encoding': 'br' });
  unknown.end(framed(bomb.subarray(0, 10), 10, 1));
  assert.equal(await statusOf(unknown), '12'); // UNIMPLEMENTED
  for (const [method, bytes] of [
    ['Publisher/Publish', 0xffff_ffff],
    ['Publisher/Publish', 12_000_000],
    ['Subscriber/Acknowledge', 1_048_577],
    ['Publisher/CreateTopic', 1_048_577],
    ['Subscriber/StreamingPull', 1_048_577],
  ] as const) {
    const tooLong = begin(session, method);
    tooLong.write(framed(Buffer.alloc(10), bytes));
    assert.equal(await statusOf(tooLong), '8', method);
  }
  const plain = begin(session, 'Publisher/Publish', { 'content-type': 'text/plain' });
  const [headers] = await once(plain, 'response');
  assert.equal(headers[':status'], 415);
  session.destroy();
  await answers();
}

/** 200 publishes that say 10 MB and send a byte, or nothing of it: others are answered meanwhile, also large ones. */
async function hugeAnnouncements(): Promise<void> {
  const sessions = Array.from({ length: 4 }, openSession);
  const announced = sessions.flatMap((session, position) =>
    Array.from({ length: 50 }, () => {
      const stream = begin(session, 'Publisher/Publish');
      stream.write(framed(Buffer.alloc(position % 2), 10_000_000));
      return stream;
    }),
  );
  await Promise.all(sessions.map((session) => once(session, 'connect')));
  await Promise.all(sessions.map(ping));
  const call = createRawClient(context, emulator.port);
  for (let count = 0; count < 3; count++) {
    await call('Publisher', 'Publish', publishRequest(topic, ['x'.repeat(9_000_000)]));
  }
  assert.ok(announced.every((stream) => !stream.closed));
  for (const session of sessions) session.destroy();
  await answers();
}

async function idleConnections(): Promise<void> {
  const sockets: Socket[] = [];
  for (let count = 0; count < 5_000; count++) {
    const socket = await open();
    if (count % 2 === 0) socket.write(Buffer.concat([preface, settings]));
    sockets.push(socket);
  }
  await answers();
  for (const socket of sockets) socket.destroy();
}

test('keeps two responses for a client that does not read, not its backlog', async () => {
  const call = createRawClient(context, emulator.port);
  const text = 'x'.repeat(10_000);
  for (let count = 0; count < 200; count++) {
    await call('Publisher', 'Publish', publishRequest(topic, Array(100).fill(text)));
  }
  const bytes = rssAnonBytes();
  const session = connectHttp2(`http://127.0.0.1:${emulator.port}`, { settings: { initialWindowSize: 0 } });
  cleanups.push(() => session.destroy());
  for (let count = 0; count < 20; count++) {
    const stream = begin(session, 'Subscriber/StreamingPull');
    stream.write(framed(Buffer.concat([encodeField(1, subscription), Buffer.from([5 << 3, 60])])));
  }
  const outstanding = async () => (await backlogOf(subscription)).outstandingCount;
  await until(async () => (await outstanding()) > 500);
  await answers();
  // 20 streams of two responses of 256 KiB and the message that ends each.
  assert.ok((await outstanding()) <= 20 * 2 * 27, `${await outstanding()} messages are outstanding`);
  await grewLittleSince(bytes);
  session.destroy();
  await answers();
});

test('reads no more acks of a client that does not read what confirms them', async () => {
  const call = createRawClient(context, emulator.port);
  await call('Publisher', 'Publish', publishRequest(exactTopic, ['one']));
  const [one] = readPulled(await call('Subscriber', 'Pull', pullRequest(exact, 1)));
  const bytes = rssAnonBytes();
  const session = connectHttp2(`http://127.0.0.1:${emulator.port}`, { settings: { initialWindowSize: 0 } });
  cleanups.push(() => session.destroy());
  const stream = begin(session, 'Subscriber/StreamingPull');
  stream.write(framed(Buffer.concat([encodeField(1, exact), Buffer.from([5 << 3, 60])])));
  const ids = Array.from({ length: 20_000 }, () => encodeField(2, one?.ackId ?? ''));
  const acks = framed(Buffer.concat(ids));
  let readCount = 0;
  const send = () =>
    stream.write(acks, (error) => {
      if (!error && ++readCount < 500) send();
    });
  send();
  await until(() => readCount > 0);
  for (let before = 0; readCount > before; ) {
    before = readCount;
    for (let count = 0; count < 20; count++) await answers();
  }
  assert.equal(stream.closed, false);
  assert.ok(readCount < 100, `${readCount} requests of ${acks.length} bytes were read`);
  await grewLittleSince(bytes);
  session.destroy();
  await answers();
});

test('keeps no large response for a stream that has received it', async () => {
  const call = createRawClient(context, emulator.port);
  const bytes = rssAnonBytes();
  for (let count = 0; count < 20; count++) {
    const stream = begin(openSession(), 'Subscriber/StreamingPull');
    // Of max_outstanding_messages 1, so that each has one.
    stream.write(framed(Buffer.concat([encodeField(1, large), Buffer.from([5 << 3, 60, 7 << 3, 1])])));
    let received = 0;
    stream.on('data', ({ length }: Buffer) => {
      received += length;
    });
    await call('Publisher', 'Publish', publishRequest(largeTopic, ['x'.repeat(9_900_000)]));
    await until(() => received > 9_900_000);
  }
  await grewLittleSince(bytes);
});

test('stays up when a call is reset by what comes together with its headers', async () => {
  // Of a GET, which gets an answer at once.
  const headers = http2Frame(1, 5, 1, Buffer.from('828684410161', 'hex'));
  const reset = http2Frame(3, 0, 1, Buffer.from([0, 0, 0, http2.NGHTTP2_CANCEL]));
  const socket = await open();
  socket.write(Buffer.concat([preface, settings, headers, reset]));
  await Promise.race([once(socket, 'data'), once(socket, 'close')]);
  await answers();
});

test('refuses a field whose length is below 0, which would be read for ever', async () => {
  const session = openSession();
  for (const method of ['Publisher/Publish', 'Publisher/CreateTopic', 'Subscriber/StreamingPull']) {
    const stream = begin(session, method);
    stream.end(framed(Buffer.from('0af5ffffffffffffffff01', 'hex')));
    assert.equal(await statusOf(stream), '3', method); // INVALID_ARGUMENT
  }
  session.destroy();
});

test('refuses a second message in a call that takes one', async () => {
  const session = openSession();
  const stream = begin(session, 'Publisher/Publish');
  const one = framed(publishRequest(topic, ['one']));
  stream.end(Buffer.concat([one, one]));
  assert.equal(await statusOf(stream), '12'); // UNIMPLEMENTED
  session.destroy();
});

/** Resolves when the server has read all that was written to the session before. */
async function ping(session: ClientHttp2Session): Promise<void> {
  await new Promise<void>((resolve, reject) => session.ping((error) => (error ? reject(error) : resolve())));
}

for (const encoding of ['identity', 'gzip']) {
  test(`counts whole requests that are not ended, sent as ${encoding}, and gives each back once`, async () => {
    const request = publishRequest(largeTopic, ['x'.repeat(8_000_000)]);
    const bytes = encoding === 'gzip' ? framed(gzipSync(request), undefined, 1) : framed(request);
    const session = openSession();
    const start = async () => {
      const stream = begin(session, 'Publisher/Publish', { 'grpc-encoding': encoding });
      const status = statusOf(stream);
      await new Promise((resolve) => stream.write(bytes, resolve));
      await ping(session);
      return { stream, status };
    };
    const publish = async () => {
      const { stream, status } = await start();
      stream.end();
      return status;
    };
    // Eight are 64 MB, and nine more than the 64 MiB that there are.
    const whole: Awaited<ReturnType<typeof start>>[] = [];
    for (let count = 0; count < 8; count++) whole.push(await start());
    for (let round = 0; round < 3; round++) {
      assert.equal(await publish(), '8'); // RESOURCE_EXHAUSTED
      const [ended, reset, refused] = whole.splice(0, 3);
      ended?.stream.end();
      assert.equal(await ended?.status, '0');
      reset?.stream.close(http2.NGHTTP2_CANCEL);
      await ping(session);
      refused?.stream.write(framed(Buffer.alloc(0)));
      assert.equal(await refused?.status, '12');
      assert.equal(await publish(), '0');
      for (let count = 0; count < 3; count++) whole.push(await start());
    }
    session.destroy();
    const call = createRawClient(context, emulator.port);
    await until(() =>
      call('Publisher', 'Publish', request).then(
        () => true,
        () => false,
      ),
    );
  });
}

test('counts a message of a stream until it is read, and none once the stream has failed', async () => {
  const session = openSession();
  const long = begin(session, 'Subscriber/StreamingPull');
  const status = statusOf(long);
  long.write(framed(Buffer.concat([encodeField(1, exact), Buffer.from([5 << 3, 10])])));
  // 70 MB one after the other, of fields that nobody knows.
  const unknown = framed(encodeField(15, Buffer.alloc(500_000)));
  for (let count = 0; count < 140; count++) await new Promise((resolve) => long.write(unknown, resolve));
  long.end();
  assert.equal(await status, '0');
  const bad = framed(encodeField(1, subscription));
  const announced = framed(Buffer.alloc(1), 16 * 1024 * 1024);
  for (let count = 0; count < 4; count++) {
    const stream = begin(session, 'Subscriber/StreamingPull');
    stream.write(Buffer.concat([bad, announced]));
    assert.equal(await statusOf(stream), '3');
  }
  const call = createRawClient(context, emulator.port);
  await call('Publisher', 'Publish', publishRequest(largeTopic, ['x'.repeat(8_000_000)]));
  session.destroy();
});

test('forwards thousands of messages to the dead-letter topic at once without a window of the log for each', async () => {
  const call = createRawClient(context, emulator.port);
  const messageCount = 2_000;
  for (let published = 0; published < messageCount; published += 1_000) {
    await call('Publisher', 'Publish', publishRequest(poisonTopic, Array(1_000).fill('x'.repeat(3_000))));
  }
  const pullAll = async () => {
    const ids: Buffer[] = [];
    while (ids.length < messageCount) {
      const pulled = readPulled(await call('Subscriber', 'Pull', pullRequest(poison, 1_000)));
      ids.push(...pulled.map(({ ackId }) => encodeField(4, ackId)));
    }
    return ids;
  };
  const nack = (ids: Buffer[]) =>
    call('Subscriber', 'ModifyAckDeadline', Buffer.concat([encodeField(1, poison), ...ids]));
  for (let attempt = 1; attempt < 5; attempt++) await nack(await pullAll());
  const last = await pullAll();
  const bytes = memoryBytes(emulator.pid, 'VmRSS');
  // Starts the peak anew: man 5 proc_pid_clear_refs.
  writeFileSync(`/proc/${emulator.pid}/clear_refs`, '5');
  await nack(last);
  await until(async () => (await backlogOf(poison)).unackedCount === 0);
  const peakKib = /^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${emulator.pid}/status`, 'utf8'))?.[1];
  const grownBytes = Number(peakKib) * 1_024 - bytes;
  assert.ok(grownBytes < growthBytesMax, `grew by ${grownBytes} bytes`);
});
