/**
 * The gRPC front: HTTP/2 connections, the methods by their path, and how it closes.
 *
 * It stands on node:http2 itself. Measured with 3,000-byte messages at 1,000 a publish, grpc-js took 11 µs of CPU a
 * message to receive them, at 46,000/s; this takes 4 µs. The windows are why: with HTTP/2's 64 KiB a publish of 3 MB
 * waits 46 times for the client to be told that it may go on.
 */
import {
  createServer,
  constants as http2,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Socket } from 'node:net';
import type { Broker } from '../broker/broker.ts';
import { limits } from '../broker/limits.ts';
import type { Faults } from '../faults.ts';
import type { UnaryMethod } from '../methods/method.ts';
import { pathOf } from '../methods/protos.ts';
import { StatusError } from '../methods/status.ts';
import { answerUnary, endWith, isGone, StreamCall, type StreamMethod } from './call.ts';
import { Connections } from './connections.ts';
import { createHealth, isHealthPath } from './health.ts';
import { RequestMemory } from './request-memory.ts';
import { streamingPull } from './streaming-pull.ts';
import { trailersOf } from './trailers.ts';

export interface GrpcFront {
  /** Takes a connection that speaks HTTP/2. */
  connect(socket: Socket): void;
  /** Refuses new calls with UNAVAILABLE. */
  drain(): void;
  /** Resolves when all calls are answered and connections closed, or were cut off after `graceMs`. */
  close(graceMs: number): Promise<void>;
}

/** What a client may send on one call, and on one connection, before it is read. */
const streamWindowBytes = 1024 * 1024;
const connectionWindowBytes = 4 * 1024 * 1024;
/**
 * Calls that a client cancels, which it may do so many times at once, and then so often a second; over it Node ends the
 * connection with all its calls, for CVE-2023-44487. Its default is 1,000 and 33: too little for the Node client, which
 * cancels five calls of each subscription that it closes, 10,000 for 2,000 of them. One that is begun and cancelled
 * takes 60 µs. https://nodejs.org/api/http2.html#http2createserveroptions-onrequesthandler
 */
const cancelledCallsBurst = 50_000;
const cancelledCallsPerSecond = 5_000;
/** The largest number that the setting has: the bound is elsewhere (connections.ts). */
const callsPerConnectionTold = 2 ** 31 - 1;
/** Node's own bound on a connection's buffers; its default of 10 MB breaks off connections with several publishes. */
const connectionMemoryMegabytes = 64;

/** The largest request of any method but Publish has 512 KiB, of acks; one a little over it gets the method's own answer. */
const requestBytesMax = 1024 * 1024;
const publishBytesMax = limits.publishBytes + requestBytesMax;
const publishPath = pathOf('Publisher', 'Publish');

export const streamingPullPath = pathOf('Subscriber', 'StreamingPull');

export interface GrpcFrontDeps {
  broker: Broker;
  /** By path; they are the REST front's too. */
  methods: ReadonlyMap<string, UnaryMethod>;
  faults: Faults;
  /** For tests (connections.ts). */
  checkIntervalMs?: number | undefined;
}

export function createGrpcFront({ broker, methods, faults, checkIntervalMs }: GrpcFrontDeps): GrpcFront {
  let isDraining = false;
  const health = createHealth();
  const unary = new Map<string, UnaryMethod>([...methods, ...health.unary]);
  const streams = new Map<string, StreamMethod>([
    [streamingPullPath, streamingPull(broker)],
    ...health.streams,
  ]);
  const connections = new Connections(checkIntervalMs);
  const memory = new RequestMemory();
  const server = createServer({
    settings: { initialWindowSize: streamWindowBytes, maxConcurrentStreams: callsPerConnectionTold },
    maxSessionMemory: connectionMemoryMegabytes,
    streamResetBurst: cancelledCallsBurst,
    streamResetRate: cancelledCallsPerSecond,
    // Node rejects calls while a connection has no memory left, and ends it with all its calls after so many.
    maxSessionRejectedStreams: cancelledCallsBurst,
  });
  server.on('session', (session) => {
    session.setLocalWindowSize(connectionWindowBytes);
    connections.add(session);
  });
  server.on('sessionError', () => {}); // the client's fault; Node closes the session
  server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    stream.on('error', () => {}); // a reset; 'close' follows
    if (isGone(stream)) return; // reset by what came together with its headers
    const path = String(headers[http2.HTTP2_HEADER_PATH]);
    if (!isGrpc(stream, headers)) return;
    try {
      connections.begin(stream);
      if (isDraining && !isHealthPath(path)) {
        throw new StatusError('UNAVAILABLE', 'The emulator is shutting down.');
      }
    } catch (error) {
      endWith(stream, trailersOf(error));
      return;
    }
    const answer = unary.get(path);
    const open = streams.get(path);
    const options = { headers, memory, bytesMax: path === publishPath ? publishBytesMax : requestBytesMax };
    const begin = () => {
      if (answer) answerUnary(stream, options, answer);
      else if (open) new StreamCall(stream, options, open);
      else endWith(stream, trailersOf(notFound(path)));
    };
    // What the client sends meanwhile waits in the stream.
    const fault = faults.before(path);
    if (fault) fault.then(begin, (error) => endWith(stream, trailersOf(error)));
    else begin();
  });
  return {
    connect: (socket) => server.emit('connection', socket),
    drain() {
      isDraining = true;
      health.drain();
      connections.drain();
    },
    close: (graceMs) => connections.close(graceMs),
  };
}

function isGrpc(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): boolean {
  const isCall =
    headers[':method'] === 'POST' && String(headers['content-type']).startsWith('application/grpc');
  if (isCall) return true;
  stream.respond({ ':status': 415, 'content-type': 'text/plain' });
  stream.end('Content-Type is missing from the request\n');
  return false;
}

function notFound(path: string): StatusError {
  const text = `${path.slice(1)} is not supported by this emulator.`;
  return new StatusError('UNIMPLEMENTED', text);
}
