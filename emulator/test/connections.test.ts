/** HTTP/2 connections of clients that open more than there is room for, or are gone without a word. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2';
import { connect as connectSocket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { until } from '../../test/until.ts';
import { encodeField } from '../src/protobuf.ts';
import { startEmulator } from './harness.ts';

const topic = 'projects/project/topics/orders';
const subscription = 'projects/project/subscriptions/orders-writer';
const declarations = JSON.stringify({
  topics: [{ name: topic }],
  subscriptions: [{ name: subscription, topic }],
});

function openSession(context: TestContext, port: number): ClientHttp2Session {
  const options = { maxSessionMemory: 200, peerMaxConcurrentStreams: 100_000 };
  const session = connect(`http://127.0.0.1:${port}`, options);
  session.on('error', () => {});
  context.after(() => session.destroy());
  return session;
}

function begin(session: ClientHttp2Session, method: string, request: Buffer): ClientHttp2Stream {
  const stream = session.request({
    ':method': 'POST',
    ':path': `/google.pubsub.v1.${method}`,
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  stream.on('error', () => {});
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(request.length, 1);
  stream.write(Buffer.concat([prefix, request]));
  return stream;
}

/** A StreamingPull. */
function pull(session: ClientHttp2Session): ClientHttp2Stream {
  const request = Buffer.concat([encodeField(1, subscription), Buffer.from([5 << 3, 60])]);
  return begin(session, 'Subscriber/StreamingPull', request);
}

async function statusOf(stream: ClientHttp2Stream): Promise<[code: unknown, text: unknown]> {
  const ended = Promise.withResolvers<Record<string, unknown>>();
  for (const event of ['response', 'trailers']) {
    stream.on(event, (headers) => {
      if (headers['grpc-status'] !== undefined) ended.resolve(headers);
    });
  }
  stream.on('close', () => ended.reject(new Error('closed without a status')));
  stream.resume();
  const headers = await ended.promise;
  return [headers['grpc-status'], headers['grpc-message']];
}

test('answers a call over the limit of its connection, and takes one again when another has ended', async (context) => {
  const { port, broker } = await startEmulator(context, { declarations });
  const consumerCount = () => broker.backlog()[0]?.consumerCount;
  const session = openSession(context, port);
  const streams: ClientHttp2Stream[] = [];
  const limit = 11_000;
  for (let round = 0; round < 22; round++) {
    streams.push(...Array.from({ length: 500 }, () => pull(session)));
    await until(() => consumerCount() === streams.length);
  }
  const text = `This connection has ${limit} calls under way, which is the limit. End some, and try again.`;
  const topicRequest = encodeField(1, topic);
  const refused = begin(session, 'Publisher/GetTopic', topicRequest);
  refused.end();
  assert.deepEqual(await statusOf(refused), ['8', text]); // RESOURCE_EXHAUSTED
  const halfOpen = pull(session);
  assert.deepEqual(await statusOf(halfOpen), ['8', text]);
  // The client never ends its side: the emulator closes the stream.
  await until(() => halfOpen.closed);
  const other = begin(openSession(context, port), 'Publisher/GetTopic', topicRequest);
  other.end();
  assert.deepEqual(await statusOf(other), ['0', undefined]);
  streams[0]?.close();
  await until(() => consumerCount() === limit - 1);
  const taken = begin(session, 'Publisher/GetTopic', topicRequest);
  taken.end();
  assert.deepEqual(await statusOf(taken), ['0', undefined]);
});

/** Opens a StreamingPull in another process, and tells when it has it. */
const client = `
  const { connect } = require('node:http2');
  const [port, request] = process.argv.slice(1);
  const session = connect('http://127.0.0.1:' + port);
  const stream = session.request({
    ':method': 'POST',
    ':path': '/google.pubsub.v1.Subscriber/StreamingPull',
    'content-type': 'application/grpc',
  });
  stream.write(Buffer.from(request, 'hex'));
`;

test('takes a client that answers no PING for gone, and keeps one that does', async (context) => {
  const { port, broker } = await startEmulator(context, { declarations, connectionCheckMs: 300 });
  const consumerCount = () => broker.backlog()[0]?.consumerCount;
  const alive = openSession(context, port);
  let pingCount = 0;
  alive.on('ping', () => pingCount++);
  const stream = pull(alive);
  await until(() => consumerCount() === 1);
  const request = Buffer.concat([encodeField(1, subscription), Buffer.from([5 << 3, 60])]);
  const framed = Buffer.concat([Buffer.from([0, 0, 0, 0, request.length]), request]);
  const stopped = spawn(process.execPath, ['-e', client, String(port), framed.toString('hex')]);
  context.after(() => stopped.kill('SIGKILL'));
  await once(stopped, 'spawn');
  await until(() => consumerCount() === 2);
  stopped.kill('SIGSTOP');
  await until(() => consumerCount() === 1);
  const before = pingCount;
  await until(() => pingCount > before + 2);
  assert.deepEqual([stream.closed, consumerCount()], [false, 1]);
});

test('looks at no connection that a client has ended and keeps half open', async (context) => {
  const { port, broker } = await startEmulator(context, { declarations, connectionCheckMs: 50 });
  const socket = connectSocket({ port, host: '127.0.0.1', allowHalfOpen: true });
  context.after(() => socket.destroy());
  const settings = Buffer.from('000000040000000000', 'hex');
  const goaway = Buffer.from('0000080700000000000000000000000000', 'hex');
  socket.write(Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), settings, goaway]));
  socket.resume();
  await once(socket, 'end');
  const other = openSession(context, port);
  let pingCount = 0;
  other.on('ping', () => pingCount++);
  pull(other);
  await until(() => pingCount > 2);
  assert.equal(broker.backlog()[0]?.consumerCount, 1);
});
