/** Messages as proto3 JSON: https://protobuf.dev/programming-guides/json/. What is empty or absent is left out. */
import type { Field, Type } from 'protobufjs';
import { isEnumType, isMessageType, type PlainMessage } from '../methods/protos.ts';

/** @param message as `type` decodes it. */
export function writeMessage(type: Type, message: PlainMessage): PlainMessage {
  const json: PlainMessage = {};
  for (const field of type.fieldsArray) {
    if (!Object.hasOwn(message, field.name)) continue;
    const value = writeField(field.resolve(), message[field.name]);
    if (value !== undefined) json[field.name] = value;
  }
  return json;
}

function writeField(field: Field, value: unknown): unknown {
  if (field.repeated) {
    const values = value as unknown[];
    return values.length === 0 ? undefined : values.map((one) => writeValue(field, one));
  }
  if (!field.map) return isDefault(field, value) ? undefined : writeValue(field, value);
  const entries = Object.entries(value as PlainMessage);
  if (entries.length === 0) return undefined;
  return Object.fromEntries(entries.map(([key, one]) => [key, writeValue(field, one)]));
}

/** Of a field that cannot tell its default from its absence. */
function isDefault({ type, partOf, resolvedType }: Field, value: unknown): boolean {
  if (partOf || isMessageType(resolvedType)) return false;
  if (type === 'bytes') return (value as Buffer).length === 0;
  return value === '' || value === false || (type !== 'string' && Number(value) === 0);
}

function writeValue({ type, resolvedType }: Field, value: unknown): unknown {
  if (isEnumType(resolvedType)) return resolvedType.valuesById[value as number] ?? value;
  if (resolvedType) {
    return (wellKnown[resolvedType.fullName] ?? writeMessage.bind(null, resolvedType))(value as PlainMessage);
  }
  if (type === 'bytes') return (value as Buffer).toString('base64');
  return type === 'int64' ? String(value) : value;
}

const wellKnown: Record<string, (message: PlainMessage) => unknown> = {
  '.google.protobuf.Timestamp': ({ seconds, nanos }) => {
    const [whole] = new Date(Number(seconds) * 1_000).toISOString().split('.');
    return `${whole}${fraction(nanos)}Z`;
  },
  '.google.protobuf.Duration': ({ seconds, nanos }) => `${seconds}${fraction(nanos)}s`,
};

/** Nothing, or 3, 6 or 9 digits. */
function fraction(nanos: unknown): string {
  if (!nanos) return '';
  return `.${String(nanos)
    .padStart(9, '0')
    .replace(/(000)+$/, '')}`;
}
