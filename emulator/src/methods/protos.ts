/**
 * The services and their messages as the protos describe them that Google's client ships, and methods as functions of
 * decoded requests, for those that carry no messages.
 *
 * They are read when the first such method is called, or for declarations: that takes 70 ms of CPU, a third of a
 * start, and a folder that has its topics and subscriptions never needs them.
 */
import { createRequire } from 'node:module';
import type protobuf from 'protobufjs';
import { FieldScanner, MalformedMessage } from '../protobuf.ts';
import type { CallInfo, UnaryMethod } from './method.ts';

/** A message as protobufjs gives it: field names in camelCase, absent ones absent. */
export type PlainMessage = Record<string, unknown>;

export type PlainMethod = (request: PlainMessage, call: CallInfo) => Promise<PlainMessage> | PlainMessage;

const require = createRequire(import.meta.url);
let root: protobuf.Root | undefined;

function readRoot(): protobuf.Root {
  const { Root }: typeof protobuf = require('protobufjs');
  return Root.fromJSON(require('@google-cloud/pubsub/build/protos/protos.json'));
}

export function pathOf(service: string, method: string): string {
  return `/google.pubsub.v1.${service}/${method}`;
}

export function messageType(name: string): protobuf.Type {
  root ??= readRoot();
  return root.lookupType(`google.pubsub.v1.${name}`);
}

/** With their request and response types. */
export function methodsOf(serviceName: string): protobuf.Method[] {
  root ??= readRoot();
  const service = root.lookupService(`google.pubsub.v1.${serviceName}`).resolveAll() as protobuf.Service;
  return service.methodsArray;
}

/** @throws MalformedMessage, also for a field that is cut off: protobufjs reads a text as far as it goes. */
function decode(type: protobuf.Type, bytes: Buffer): protobuf.Message {
  const fields = new FieldScanner(bytes);
  while (fields.next());
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
  return Object.entries(answers).map(([name, answer]) => {
    let types: MethodTypes | undefined;
    return [
      pathOf(serviceName, name),
      async (bytes, call) => {
        types ??= typesOf(serviceName, name);
        const { request, response } = types;
        const decoded = request.toObject(decode(request, bytes), { longs: Number, enums: String });
        return Buffer.from(response.encode(response.fromObject(await answer(decoded, call))).finish());
      },
    ];
  });
}

interface MethodTypes {
  request: protobuf.Type;
  response: protobuf.Type;
}

function typesOf(serviceName: string, name: string): MethodTypes {
  const method = methodsOf(serviceName).find((one) => one.name === name);
  const { resolvedRequestType: request, resolvedResponseType: response } = method ?? {};
  if (!request || !response) throw new RangeError(`${serviceName} has no method ${name}`);
  return { request, response };
}

export function isMessageType(type: protobuf.ReflectionObject | null): type is protobuf.Type {
  return type !== null && 'fields' in type;
}

export function isEnumType(type: protobuf.ReflectionObject | null): type is protobuf.Enum {
  return type !== null && 'valuesById' in type;
}
