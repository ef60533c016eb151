/**
 * proto3 JSON to messages, strictly: https://protobuf.dev/programming-guides/json/. Names are read in camelCase and in
 * snake_case, and what is wrong is named with its path, in the words of the service.
 *
 * Google's proto3-json-serializer 4.1.0, which comes with the client, drops fields that it does not know, reads bad
 * base64 and unknown enum values as something else, takes `abc` for a number and no snake_case.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Enum, Field, Type } from 'protobufjs';
import { isEnumType, isMessageType, type PlainMessage } from './protos.ts';
import { StatusError } from './status.ts';

type ReadValue = (value: unknown, path: string) => unknown;

/** @param path where it is in the request, for the texts. @throws StatusError INVALID_ARGUMENT */
export function readMessage(type: Type, json: unknown, path = ''): PlainMessage {
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw unwanted(path, 'an object', json);
  const message: PlainMessage = {};
  for (const [name, value] of Object.entries(json)) {
    const field = fieldOf(type, name);
    if (!field) throw unknownField(name, path);
    if (value === null) continue;
    const at = path === '' ? name : `${path}.${name}`;
    const given = field.partOf?.oneof.find((other) => Object.hasOwn(message, other)) ?? field.name;
    if (Object.hasOwn(message, given)) throw invalid(`Invalid value at '${at}': '${given}' is set already.`);
    message[field.name] = readField(field, value, at);
  }
  return message;
}

/**
 * Sets a field from outside the body: `topic.name` of the path, `pageSize` of the query.
 * @throws StatusError INVALID_ARGUMENT, also when the body has another value.
 */
export function bindField(type: Type, message: PlainMessage, name: string, texts: readonly string[]): void {
  const [first = '', ...rest] = name.split('.');
  const field = fieldOf(type, first);
  if (!field)
    throw invalid(`Unknown name "${name}": Cannot bind query parameter. Field '${name}' could not be found.`);
  if (rest.length > 0) {
    if (!isMessageType(field.resolvedType) || field.repeated || field.map) {
      throw invalid(`Unknown name "${name}": Cannot bind query parameter. '${first}' has no fields.`);
    }
    message[field.name] ??= {};
    bindField(field.resolvedType, message[field.name] as PlainMessage, rest.join('.'), texts);
    return;
  }
  if (texts.length > 1 && !field.repeated)
    throw invalid(`Invalid value at '${name}': it is given ${texts.length} times.`);
  const value = readField(field, field.repeated ? texts : texts[0], name);
  const inBody = message[field.name];
  if (inBody !== undefined && !isDeepStrictEqual(inBody, value)) {
    throw invalid(
      `Invalid value at '${name}': ${shown(inBody)} in the body, but ${shown(value)} in the URL.`,
    );
  }
  message[field.name] = value;
}

/** By its name in camelCase or in snake_case. */
export function fieldOf(type: Type, name: string): Field | undefined {
  const camelCase = name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
  const field = Object.hasOwn(type.fields, camelCase) ? type.fields[camelCase] : undefined;
  return field?.resolve();
}

function readField(field: Field, value: unknown, path: string): unknown {
  const read: ReadValue = (one, at) => {
    if (one === null) throw unwanted(at, 'a value', one);
    return readerOf(field)(one, at);
  };
  if (field.repeated) {
    if (!Array.isArray(value)) throw unwanted(path, 'an array', value);
    return value.map((one, position) => read(one, `${path}[${position}]`));
  }
  if (!field.map) return read(value, path);
  if (typeof value !== 'object' || Array.isArray(value)) throw unwanted(path, 'an object', value);
  const entries = Object.entries(value as object).map(([key, one]) => {
    // protobufjs would set the prototype of the map, and the entry would be gone.
    if (key === '__proto__')
      throw invalid(`Invalid value at '${path}': the key "__proto__" cannot be carried.`);
    return [readText(key, path), read(one, `${path}.${key}`)];
  });
  return Object.fromEntries(entries);
}

function readerOf({ type, resolvedType }: Field): ReadValue {
  if (isEnumType(resolvedType)) return (value, path) => readEnum(resolvedType, value, path);
  if (resolvedType) {
    return wellKnown[resolvedType.fullName] ?? ((value, path) => readMessage(resolvedType, value, path));
  }
  const read = scalars[type];
  if (!read) throw new RangeError(`Fields of type ${type} are not read from JSON.`);
  return read;
}

/** Those that occur in the requests of Pub/Sub. */
const scalars: Record<string, ReadValue> = {
  string: readText,
  bytes: readBytes,
  bool(value, path) {
    if (value === true || value === 'true') return true;
    if (value === false || value === 'false') return false;
    throw unwanted(path, 'true or false', value);
  },
  int32: (value, path) => readWhole(value, path, 2 ** 31, 'a whole number of 32 bits'),
  int64: (value, path) => readWhole(value, path, Number.MAX_SAFE_INTEGER, 'a whole number up to 2^53'),
  double: (value, path) => readNumber(value, path, 'a number'),
};

const wellKnown: Record<string, ReadValue> = {
  '.google.protobuf.Timestamp': readTimestamp,
  '.google.protobuf.Duration': readDuration,
  '.google.protobuf.FieldMask': readFieldMask,
  // Only within message transforms, which are refused with whatever they hold.
  '.google.protobuf.Struct': () => ({}),
};

function readText(value: unknown, path: string): string {
  if (typeof value !== 'string') throw unwanted(path, 'a string', value);
  if (!value.isWellFormed()) throw unwanted(path, 'a string of whole characters', value);
  return value;
}

/** Both alphabets, with padding or without. */
function readBytes(value: unknown, path: string): Buffer {
  const isBase64 = typeof value === 'string' && /^[\w+/-]*={0,2}$/.test(value);
  if (!isBase64 || value.replace(/=+$/, '').length % 4 === 1) throw unwanted(path, 'base64', value);
  return Buffer.from(value, 'base64');
}

function readNumber(value: unknown, path: string, wanted: string): number {
  const isNumber =
    typeof value === 'number' || (typeof value === 'string' && /^-?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(value));
  if (!isNumber || !Number.isFinite(Number(value))) throw unwanted(path, wanted, value);
  return Number(value);
}

function readWhole(value: unknown, path: string, bound: number, wanted: string): number {
  const number = readNumber(value, path, wanted);
  if (!Number.isInteger(number) || number < -bound || number >= bound) throw unwanted(path, wanted, value);
  return number;
}

function readEnum({ values, valuesById }: Enum, value: unknown, path: string): number {
  const number = typeof value === 'string' && Object.hasOwn(values, value) ? values[value] : value;
  if (typeof number === 'number' && Object.hasOwn(valuesById, number)) return number;
  throw unwanted(path, `one of ${Object.keys(values).join(', ')}`, value);
}

const timestamp = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/;

function readTimestamp(value: unknown, path: string): PlainMessage {
  const [, whole, fraction = '', zone] = (typeof value === 'string' && timestamp.exec(value)) || [];
  const seconds = Date.parse(`${whole}${zone}`) / 1_000;
  if (Number.isNaN(seconds)) throw unwanted(path, 'a time such as 2026-01-31T12:00:00Z', value);
  return { seconds, nanos: Number(fraction.padEnd(9, '0')) };
}

/** google/protobuf/duration.proto: 10,000 years. */
const durationSecondsMax = 315_576_000_000;

function readDuration(value: unknown, path: string): PlainMessage {
  const match = typeof value === 'string' ? /^(-?)(\d{1,12})(?:\.(\d{1,9}))?s$/.exec(value) : undefined;
  const [, sign, seconds, fraction = ''] = match ?? [];
  if (!match || Number(seconds) > durationSecondsMax)
    throw unwanted(path, 'a duration in seconds such as 600s', value);
  const factor = sign === '-' ? -1 : 1;
  return { seconds: factor * Number(seconds), nanos: factor * Number(fraction.padEnd(9, '0')) };
}

/** Paths in camelCase, as JSON has them, or in snake_case, as the service takes them too. */
function readFieldMask(value: unknown, path: string): PlainMessage {
  if (typeof value !== 'string') throw unwanted(path, 'field names with commas between them', value);
  const paths = value.split(',').filter((one) => one !== '');
  return { paths: paths.map((one) => one.trim().replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)) };
}

const shownCharactersMax = 100;

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > shownCharactersMax ? `${text.slice(0, shownCharactersMax)}…` : text;
}

function unwanted(path: string, wanted: string, value: unknown): StatusError {
  return invalid(
    `Invalid value${path === '' ? '' : ` at '${path}'`}: ${wanted} is wanted, not ${shown(value)}.`,
  );
}

function unknownField(name: string, path: string): StatusError {
  const where = path === '' ? '' : ` at '${path}'`;
  return invalid(`Invalid JSON payload received. Unknown name "${name}"${where}: Cannot find field.`);
}

function invalid(message: string): StatusError {
  return new StatusError('INVALID_ARGUMENT', message);
}
