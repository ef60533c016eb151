/**
 * The wire, and nothing between it and a check: gRPC calls without retries, encoded by the protos that Google's client
 * ships, and REST by fetch.
 */

import pubsub from '@google-cloud/pubsub/build/protos/protos.js';
import { credentials, Client as GrpcClient, type ServiceError } from '@grpc/grpc-js';
import { type RequestOptions, requestHttp } from './http-request.ts';
import { PullStream, type StreamRequest } from './pull-stream.ts';

const { Publisher, SchemaService, Subscriber } = pubsub.google.pubsub.v1;

/** A call that hangs is a failed check, not a suite that stands still. */
const callMs = 40_000;
const responseBytesMax = 32 * 1024 * 1024;

const asBytes = (bytes: Uint8Array) => Buffer.from(bytes);

export interface Answer {
  status: number;
  text: string;
  json: Record<string, unknown>;
}

export function createClient(host: string) {
  const grpc = new GrpcClient(host, credentials.createInsecure(), {
    'grpc.max_receive_message_length': responseBytesMax,
    'grpc.enable_retries': 0,
  });
  const streams = new Set<PullStream>();

  /** Bytes to bytes. @throws ServiceError */
  function call(path: string, request: Uint8Array, timeoutMs = callMs): Promise<Buffer> {
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
    const options = { deadline: Date.now() + timeoutMs };
    const done = (error: ServiceError | null, response?: Buffer) =>
      error ? reject(error) : resolve(response ?? Buffer.alloc(0));
    grpc.makeUnaryRequest(path, asBytes, asBytes, request, options, done);
    return promise;
  }

  const implement =
    (service: string, timeoutMs?: number) =>
    (
      method: { name: string },
      request: Uint8Array,
      done: (error: Error | null, response?: Uint8Array | null) => void,
    ) => {
      call(`/google.pubsub.v1.${service}/${method.name}`, request, timeoutMs).then(
        (response) => done(null, response),
        done,
      );
    };

  return {
    call,
    publisher: (timeoutMs?: number) => Publisher.create(implement('Publisher', timeoutMs)),
    subscriber: (timeoutMs?: number) => Subscriber.create(implement('Subscriber', timeoutMs)),
    schemas: () => SchemaService.create(implement('SchemaService')),

    stream(first: StreamRequest): PullStream {
      const path = '/google.pubsub.v1.Subscriber/StreamingPull';
      const stream = new PullStream(grpc.makeBidiStreamRequest(path, asBytes, asBytes), first);
      streams.add(stream);
      return stream;
    },

    /** `line` such as 'GET v1/projects/…'. */
    async http(line: string, body?: unknown, timeoutMs = callMs): Promise<Answer> {
      const [method = '', path = ''] = line.split(' ');
      const response = await fetch(`http://${host}/${path}`, {
        method,
        ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
        headers: { 'content-type': 'application/json' },
        signal: AbortSignal.timeout(timeoutMs),
      });
      const text = await response.text();
      return { status: response.status, text, json: parse(text) };
    },

    rawHttp: (line: string, options?: RequestOptions) => requestHttp(host, line, options),

    close(): void {
      for (const stream of streams) stream.cancel();
      grpc.close();
    },
  };
}

export type Client = ReturnType<typeof createClient>;

function parse(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}
