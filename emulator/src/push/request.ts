/** The POST that carries a message to a push endpoint. https://cloud.google.com/pubsub/docs/push */
import type { OutgoingHttpHeaders } from 'node:http';
import { messageFields, readAttributes, readOrderingKey, readPublishTime } from '../broker/message.ts';
import type { PushSettings } from '../broker/settings.ts';
import { validateHeaderName, validateHeaderValue } from '../node-http.ts';
import { FieldScanner } from '../protobuf.ts';

export interface PushRequest {
  headers: OutgoingHttpHeaders;
  body: Buffer;
}

/** Where a message's bytes are, and what is said with it. */
export interface PushedMessage {
  buffer: Buffer;
  start: number;
  end: number;
  subscription: string;
  /** With a dead-letter policy. */
  deliveryAttempt: number | undefined;
}

export function createPushRequest(push: PushSettings, message: PushedMessage): PushRequest {
  return push.isUnwrapped ? unwrapped(push, message) : wrapped(message);
}

function wrapped(message: PushedMessage): PushRequest {
  const { data, attributes, messageId, publishTime, orderingKey } = read(message);
  const body = Buffer.from(
    JSON.stringify({
      ...(message.deliveryAttempt === undefined ? {} : { deliveryAttempt: message.deliveryAttempt }),
      message: {
        ...(attributes.size > 0 ? { attributes: Object.fromEntries(attributes) } : {}),
        ...(data.length > 0 ? { data: data.toString('base64') } : {}),
        messageId,
        message_id: messageId,
        ...(orderingKey === '' ? {} : { orderingKey }),
        publishTime,
        publish_time: publishTime,
      },
      subscription: message.subscription,
    }),
  );
  return { headers: { 'content-type': 'application/json', 'content-length': body.length }, body };
}

/** https://cloud.google.com/pubsub/docs/payload-unwrapping */
function unwrapped({ writesMetadata }: PushSettings, message: PushedMessage): PushRequest {
  const { data, attributes, messageId, publishTime, orderingKey } = read(message);
  const headers: OutgoingHttpHeaders = Object.assign(Object.create(null), { 'content-length': data.length });
  if (!writesMetadata) return { headers, body: data };
  for (const [key, value] of attributes) if (isHeader(key, value)) headers[key.toLowerCase()] = value;
  Object.assign(headers, {
    'content-length': data.length,
    'x-goog-pubsub-subscription-name': message.subscription,
    'x-goog-pubsub-message-id': messageId,
    'x-goog-pubsub-publish-time': publishTime,
  });
  if (orderingKey !== '' && isHeader(orderingKeyHeader, orderingKey))
    headers[orderingKeyHeader] = orderingKey;
  return { headers, body: data };
}

const orderingKeyHeader = 'x-goog-pubsub-ordering-key';

/** Those that say how the request itself is to be read are not an attribute's to set. */
const ownHeaders = new Set([
  'connection',
  'content-length',
  'expect',
  'host',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

function isHeader(key: string, value: string): boolean {
  if (ownHeaders.has(key.toLowerCase())) return false;
  try {
    validateHeaderName(key);
    validateHeaderValue(key, value);
    return true;
  } catch {
    return false;
  }
}

/** `data` is a copy: the request outlives the message's buffer. */
function read({ buffer, start, end }: PushedMessage) {
  const fields = new FieldScanner(buffer, start, end);
  let data: Buffer = Buffer.alloc(0);
  let messageId = '';
  while (fields.next()) {
    if (fields.field === messageFields.data) data = Buffer.from(buffer.subarray(fields.start, fields.end));
    else if (fields.field === messageFields.messageId) messageId = fields.text();
  }
  return {
    data,
    messageId,
    attributes: readAttributes(buffer, start, end),
    publishTime: readPublishTime(buffer, start, end).toISOString(),
    orderingKey: readOrderingKey(buffer, start, end),
  };
}
