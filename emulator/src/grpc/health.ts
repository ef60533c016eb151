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

export interface Health {
  unary: [path: string, UnaryMethod][];
  streams: [path: string, StreamMethod][];
  /** It serves no more: tells those who watch, and ends their streams. */
  drain(): void;
}

export function createHealth(): Health {
  let isServing = true;
  /** Each tells its client the state, and ends when that is the last. */
  const watchers = new Set<() => void>();
  const state = () => (isServing ? serving : notServing);
  const check: UnaryMethod = (request) => {
    if (known.has(serviceOf(request))) return state();
    throw new StatusError('NOT_FOUND', 'unknown service');
  };
  const watch: StreamMethod = (call) => {
    let isKnown = false;
    const tell = () => {
      call.write(frame(isKnown ? state() : serviceUnknown), () => {});
      if (!isServing) call.end();
    };
    return {
      receive(request) {
        isKnown = known.has(serviceOf(request));
        watchers.add(tell);
        tell();
      },
      end() {},
      cancel: () => watchers.delete(tell),
    };
  };
  return {
    unary: [['/grpc.health.v1.Health/Check', check]],
    streams: [['/grpc.health.v1.Health/Watch', watch]],
    drain() {
      isServing = false;
      for (const tell of watchers) tell();
    },
  };
}

function serviceOf(request: Buffer): string {
  const scanner = new FieldScanner(request);
  let service = '';
  while (scanner.next()) if (scanner.field === 1) service = scanner.text();
  return service;
}
