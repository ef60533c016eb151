/** What an update changes: https://protobuf.dev/reference/protobuf/google.protobuf/#field-mask */
import type { Type } from 'protobufjs';
import { unknownField } from '../broker/update-mask.ts';
import { isMessageType, messageType, type PlainMessage } from './protos.ts';
import { fieldOf } from './read-json.ts';

/**
 * Returns `current` with each field that a path names set to its value in `input`, or cleared when `input` lacks it.
 * A path such as `retry_policy.minimum_backoff` leads into messages. No path leads into a map or a list.
 *
 * @throws Refusal for a path without a field.
 */
export function applyMask(
  kind: 'Topic' | 'Subscription',
  current: PlainMessage,
  input: PlainMessage,
  paths: readonly string[],
): PlainMessage {
  const type = messageType(kind);
  return [...new Set(paths)].reduce((changed, path) => {
    // Only JSON has paths in camelCase, and read-json.ts has changed those.
    if (/[A-Z]/.test(path)) throw unknownField(kind, path);
    const result = copyField(type, changed, input, path.split('.'));
    if (!result) throw unknownField(kind, path);
    return result;
  }, current);
}

/** Undefined when there is no such field. */
function copyField(
  type: Type,
  to: PlainMessage,
  from: PlainMessage,
  [name = '', ...rest]: readonly string[],
): PlainMessage | undefined {
  const field = fieldOf(type, name);
  if (!field) return undefined;
  let value = from[field.name];
  if (rest.length > 0) {
    if (!isMessageType(field.resolvedType) || field.repeated || field.map) return undefined;
    const target = to[field.name] as PlainMessage | undefined;
    const copied = copyField(field.resolvedType, target ?? {}, (value ?? {}) as PlainMessage, rest);
    if (!copied) return undefined;
    // Neither has the message: a path into it makes none.
    value = target || value ? copied : undefined;
  }
  const { [field.name]: _, ...others } = to;
  if (value === undefined) return others;
  for (const other of field.partOf?.oneof ?? []) delete others[other];
  return { ...others, [field.name]: value };
}
