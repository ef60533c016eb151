/**
 * The services and their messages as the protos describe them that Google's client ships, and methods as functions of
 * decoded requests, for those that carry no messages.
 */
import { createRequire } from 'node:module';
import protobuf from 'protobufjs';
import { MalformedMessage } from '../protobuf.ts';
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

export function messageType(name: string): protobuf.Type {
  return root.lookupType(`google.pubsub.v1.${name}`);
}

/** With their request and response types. */
export function methodsOf(serviceName: string): protobuf.Method[] {
  const service = root.lookupService(`google.pubsub.v1.${serviceName}`).resolveAll() as protobuf.Service;
  return service.methodsArray;
}

/** @throws MalformedMessage */
function decode(type: protobuf.Type, bytes: Buffer): protobuf.Message {
  try {
    return type.decode(bytes);
  } catch (cause) {
    throw new MalformedMessage((cause as Error).message, { cause });
  }
}

/** By method name: functions of decoded requests. */
export function plainMethods(
  serviceName: string,
  answers: Record<string, PlainMethod>,
): [path: string, UnaryMethod][] {
  const methods = new Map(methodsOf(serviceName).map((method) => [method.name, method]));
  return Object.entries(answers).map(([name, answer]) => {
    const { resolvedRequestType: request, resolvedResponseType: response } = methods.get(name) ?? {};
    if (!request || !response) throw new RangeError(`${serviceName} has no method ${name}`);
    return [
      pathOf(serviceName, name),
      async (bytes, call) => {
        const decoded = request.toObject(decode(request, bytes), { longs: Number, enums: String });
        return Buffer.from(response.encode(response.fromObject(await answer(decoded, call))).finish());
      },
    ];
  });
}
