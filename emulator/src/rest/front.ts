/**
 * The REST front: an HTTP request becomes an encoded request of the same method that gRPC calls, and its response becomes
 * JSON. It decides nothing. There is no StreamingPull in REST.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { isDeepStrictEqual } from 'node:util';
import type { Faults } from '../faults.ts';
import type { CallInfo, UnaryMethod } from '../methods/method.ts';
import type { PlainMessage } from '../methods/protos.ts';
import { bindField, readMessage } from '../methods/read-json.ts';
import { StatusError } from '../methods/status.ts';
import { sendError, sendJson } from './answer.ts';
import { parseBody, withBody } from './body.ts';
import { readTarget } from './query.ts';
import { createRoutes, findRoute, type Match, type Route } from './routes.ts';
import { writeMessage } from './write-json.ts';

export interface RestFront {
  answer(request: IncomingMessage, response: ServerResponse): void;
  /** Refuses new calls with UNAVAILABLE. */
  drain(): void;
  /** Resolves when all calls are answered, or after `graceMs`. */
  close(graceMs: number): Promise<void>;
}

/** `methods` by their gRPC path. */
export function createRestFront(methods: ReadonlyMap<string, UnaryMethod>, faults: Faults): RestFront {
  /** Made for the first request: it takes the protos (methods/protos.ts). */
  let routes: Route[] | undefined;
  const calls = new Set<ServerResponse>();
  let isDraining = false;
  let onIdle: (() => void) | undefined;

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { path, fields, isPretty } = readTarget(request.url ?? '');
    try {
      if (isDraining) throw new StatusError('UNAVAILABLE', 'The emulator is shutting down.');
      // A HEAD is answered as a GET is; Node leaves the body out.
      const verb = request.method === 'HEAD' ? 'GET' : (request.method ?? '');
      routes ??= createRoutes();
      const match = findRoute(routes, verb, path);
      const method = match && methods.get(match.route.path);
      if (!match || !method) throw new StatusError('NOT_FOUND', `There is no method for ${verb} ${path}.`);
      const json = await withBody(request, async (body) => {
        const bytes = encode(match, fields, body);
        await faults.before(match.route.path);
        if (response.destroyed) throw new StatusError('CANCELLED', 'The client went away.');
        return toJson(match, await method(bytes, callOf(request, response)));
      });
      if (!response.destroyed) sendJson(response, json, { isPretty });
    } catch (error) {
      sendError(response, error, isPretty);
    }
  }

  return {
    answer(request, response) {
      calls.add(response);
      response.on('close', () => {
        calls.delete(response);
        if (calls.size === 0) onIdle?.();
      });
      answer(request, response).catch((error) => sendError(response, error));
    },
    drain() {
      isDraining = true;
    },
    async close(graceMs) {
      if (calls.size === 0) return;
      const idle = Promise.withResolvers<void>();
      onIdle = idle.resolve;
      const timer = setTimeout(onIdle, graceMs);
      await idle.promise;
      clearTimeout(timer);
    },
  };
}

/**
 * A client that states no deadline gives up after 60 s, as Python's does over REST, and so do common proxies. A Pull
 * that waits is answered a second before this.
 * https://github.com/googleapis/python-pubsub/blob/main/google/pubsub_v1/services/subscriber/transports/base.py
 */
const unstatedDeadlineMs = 55_000;

function callOf(request: IncomingMessage, response: ServerResponse): CallInfo {
  // gcloud gives a Pull 20 s by it: https://cloud.google.com/apis/docs/system-parameters
  const timeoutSeconds = Number.parseFloat(String(request.headers['x-server-timeout']));
  const waitMs = Number.isNaN(timeoutSeconds) ? unstatedDeadlineMs : timeoutSeconds * 1_000;
  const call: CallInfo = { deadlineMs: Date.now() + waitMs, onCancel: undefined };
  response.on('close', () => {
    if (!response.writableEnded) call.onCancel?.();
  });
  return call;
}

function encode({ route, bindings }: Match, fields: [string, string[]][], body: Buffer): Buffer {
  if (!route.types) return Buffer.alloc(0);
  const { request } = route.types;
  const json = parseBody(body);
  if (route.body === undefined && !isDeepStrictEqual(json, {})) {
    throw new StatusError(
      'INVALID_ARGUMENT',
      'This method takes no body: its fields are in the path and the query.',
    );
  }
  const isWhole = route.body === '*' || route.body === undefined;
  const message = readMessage(request, isWhole ? json : { [route.body as string]: json });
  for (const [name, value] of bindings) bindField(request, message, name, [value]);
  for (const [name, values] of fields) bindField(request, message, name, values);
  // In Node protobufjs writes into a Buffer; a copy of 10 MiB is not wanted.
  return request.encode(request.fromObject(message)).finish() as Buffer;
}

function toJson({ route }: Match, response: Buffer): unknown {
  const type = route.types?.response;
  return type ? writeMessage(type, type.decode(response) as unknown as PlainMessage) : {};
}
