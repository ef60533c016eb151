/**
 * The methods of a service by their path, with protobufjs for those that carry no messages. The protos are those that
 * Google's client ships.
 */
import { createRequire } from 'node:module';
import protobuf from 'protobufjs';
import type { CallInfo, UnaryMethod } from './method.ts';

/** A message as protobufjs gives it: field names in camelCase, absent ones absent. */
export type PlainMessage = Record<string, unknown>;

export type PlainMethod = (request: PlainMessage, call: CallInfo) => Promise<PlainMessage> | PlainMessage;

const require = createRequire(import.meta.url);
const protos: protobuf.INamespace = require('@google-cloud/pubsub/build/protos/protos.json');
const root = protobuf.Root.fromJSON(protos);

export function pathOf(service: string, method: string): string {
  return `/google.pubsub.v1.${service}/${method}`;
}

/** By method name: functions of decoded requests. */
export function plainMethods(
  serviceName: string,
  answers: Record<string, PlainMethod>,
): [path: string, UnaryMethod][] {
  const service = root.lookupService(`google.pubsub.v1.${serviceName}`).resolveAll() as protobuf.Service;
  return Object.entries(answers).map(([name, answer]) => {
    const method = service.methods[name];
    const request = method?.resolvedRequestType;
    const response = method?.resolvedResponseType;
    if (!request || !response) throw new RangeError(`${serviceName} has no method ${name}`);
    return [
      pathOf(serviceName, name),
      async (bytes, call) => {
        const decoded = request.toObject(request.decode(bytes), { longs: Number, enums: String });
        return Buffer.from(response.encode(response.fromObject(await answer(decoded, call))).finish());
      },
    ];
  });
}
