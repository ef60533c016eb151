/** grpc.health.v1.Health, https://github.com/grpc/grpc/blob/master/doc/health-checking.md, with its two messages by hand. */
import {
  type ServerWritableStream,
  type ServiceDefinition,
  type StatusObject,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { FieldScanner } from '../protobuf.ts';
import { StatusError, unary } from './unary.ts';

const asBytes = (bytes: Buffer) => bytes;
const codec = {
  requestSerialize: asBytes,
  requestDeserialize: asBytes,
  responseSerialize: asBytes,
  responseDeserialize: asBytes,
};

export const healthDefinition: ServiceDefinition = {
  Check: { path: '/grpc.health.v1.Health/Check', requestStream: false, responseStream: false, ...codec },
  Watch: { path: '/grpc.health.v1.Health/Watch', requestStream: false, responseStream: true, ...codec },
};

const known = new Set(['', 'google.pubsub.v1.Publisher', 'google.pubsub.v1.Subscriber']);
const serving = Buffer.from([1 << 3, 1]);
const notServing = Buffer.from([1 << 3, 2]);
const serviceUnknown = Buffer.from([1 << 3, 3]);

export function createHealth(isServing: () => boolean): UntypedServiceImplementation {
  const state = () => (isServing() ? serving : notServing);
  return {
    Check: unary((request: Buffer) => {
      if (known.has(serviceOf(request))) return state();
      throw new StatusError({ code: status.NOT_FOUND, details: 'unknown service' } as StatusObject);
    }),
    Watch: (call: ServerWritableStream<Buffer, Buffer>) => {
      call.write(known.has(serviceOf(call.request)) ? state() : serviceUnknown);
    },
  };
}

function serviceOf(request: Buffer): string {
  const scanner = new FieldScanner(request);
  let service = '';
  while (scanner.next()) if (scanner.field === 1) service = scanner.text();
  return service;
}
