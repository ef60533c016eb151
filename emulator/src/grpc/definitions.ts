/**
 * The gRPC services, from the protos that Google's client ships. The methods that carry messages take and give bytes
 * as they are (wire.ts); for all others protobufjs encodes and decodes.
 */
import { createRequire } from 'node:module';
import type { ServiceDefinition } from '@grpc/grpc-js';
import protobuf from 'protobufjs';

/** A message as protobufjs gives it: field names in camelCase, absent ones absent. */
export type PlainMessage = Record<string, unknown>;

const require = createRequire(import.meta.url);
const protos: protobuf.INamespace = require('@google-cloud/pubsub/build/protos/protos.json');
const root = protobuf.Root.fromJSON(protos);

const bytesMethods = new Set(['Publish', 'Pull', 'StreamingPull', 'Acknowledge', 'ModifyAckDeadline']);

const asBytes = (bytes: Buffer) => bytes;

export function defineService(name: string): ServiceDefinition {
  const service = root.lookupService(name).resolveAll() as protobuf.Service;
  const path = service.fullName.slice(1);
  return Object.fromEntries(
    service.methodsArray.map((method) => {
      const isBytes = bytesMethods.has(method.name);
      const request = method.resolvedRequestType as protobuf.Type;
      const response = method.resolvedResponseType as protobuf.Type;
      return [
        method.name,
        {
          path: `/${path}/${method.name}`,
          requestStream: method.requestStream ?? false,
          responseStream: method.responseStream ?? false,
          requestSerialize: isBytes ? asBytes : encoder(request),
          requestDeserialize: isBytes ? asBytes : decoder(request),
          responseSerialize: isBytes ? asBytes : encoder(response),
          responseDeserialize: isBytes ? asBytes : decoder(response),
        },
      ];
    }),
  );
}

function encoder(type: protobuf.Type) {
  return (message: PlainMessage) => Buffer.from(type.encode(type.fromObject(message)).finish());
}

function decoder(type: protobuf.Type) {
  return (bytes: Buffer): PlainMessage => type.toObject(type.decode(bytes), { longs: Number, enums: String });
}
