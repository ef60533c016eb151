/** grpc.health.v1.Health, https://github.com/grpc/grpc/blob/master/doc/health-checking.md, with its two messages by hand. */

import type { UnaryMethod } from '../methods/method.ts';
import { StatusError } from '../methods/status.ts';
import { FieldScanner } from '../protobuf.ts';
import type { StreamMethod } from './call.ts';
import { frame } from './frames.ts';

const known = new Set(['', 'google.pubsub.v1.Publisher', 'google.pubsub.v1.Subscriber']);
const serving = Buffer.from([1 << 3, 1]);
const notServing = Buffer.from([1 << 3, 2]);
const serviceUnknown = Buffer.from([1 << 3, 3]);

export function isHealthPath(path: string): boolean {
  return path.startsWith('/grpc.health.v1.Health/');
}

export function healthMethods(isServing: () => boolean): {
  unary: [path: string, UnaryMethod][];
  streams: [path: string, StreamMethod][];
} {
  const state = () => (isServing() ? serving : notServing);
  const check: UnaryMethod = (request) => {
    if (known.has(serviceOf(request))) return state();
    throw new StatusError('NOT_FOUND', 'unknown service');
  };
  const watch: StreamMethod = (call) => ({
    receive: (request) =>
      call.write(frame(known.has(serviceOf(request)) ? state() : serviceUnknown), () => {}),
    end() {},
    cancel() {},
  });
  return {
    unary: [['/grpc.health.v1.Health/Check', check]],
    streams: [['/grpc.health.v1.Health/Watch', watch]],
  };
}

function serviceOf(request: Buffer): string {
  const scanner = new FieldScanner(request);
  let service = '';
  while (scanner.next()) if (scanner.field === 1) service = scanner.text();
  return service;
}
