/** The requests that carry messages and acks: what is in them, found in their bytes. Field numbers from pubsub.proto. */
import { isUtf8 } from 'node:buffer';
import { type AckId, ackIdBytes, readAckId, writeAckId } from '../broker/ack-id.ts';
import { invalid } from '../broker/errors.ts';
import { bounds, limits } from '../broker/limits.ts';
import { messageFields, type NewMessage, withoutBrokerFields } from '../broker/message.ts';
import { FieldScanner, varintBytes, writeVarint } from '../protobuf.ts';
import { prefixBytes, writePrefix } from './prefix.ts';

export interface PublishRequest {
  topic: string;
  messages: NewMessage[];
}

const inner = new FieldScanner(Buffer.alloc(0));
const entry = new FieldScanner(Buffer.alloc(0));

/**
 * `checkTopic` comes before the messages, as in the service: a bad message to a missing topic is NOT_FOUND.
 * @throws Refusal for what a message may not be.
 */
export function readPublish(request: Buffer, checkTopic: (name: string) => void): PublishRequest {
  if (request.length > limits.publishBytes) {
    const bounds = `You passed ${request.length} in the request, but the maximum value is ${limits.publishBytes}.`;
    throw invalid(`The value for request_size is too large. ${bounds}`);
  }
  const scanner = new FieldScanner(request);
  let topic = '';
  const messages: NewMessage[] = [];
  while (scanner.next()) {
    if (scanner.field === 1) topic = scanner.text();
    else if (scanner.field === 2) messages.push({ buffer: request, start: scanner.start, end: scanner.end });
  }
  checkTopic(topic);
  return { topic, messages: messages.map(checkMessage) };
}

function checkRequestBytes(request: Buffer, max: number): void {
  if (request.length > max) throw invalid(`Request payload size exceeds the limit: ${max} bytes.`);
}

/** The message's bytes as they came, unless it brings a message_id or publish_time, which are the broker's. */
function checkMessage(message: NewMessage): NewMessage {
  const { buffer, start, end } = message;
  inner.reset(buffer, start, end);
  let isEmpty = true;
  let hasBrokerFields = false;
  let attributeCount = 0;
  while (inner.next()) {
    if (inner.field === messageFields.data) isEmpty &&= inner.length === 0;
    else if (inner.field === messageFields.attributes) {
      attributeCount++;
      checkAttribute(inner);
    } else if (inner.field === messageFields.orderingKey) {
      checkText('ordering key', inner, limits.orderingKeyBytes);
    } else if (inner.field === messageFields.messageId || inner.field === messageFields.publishTime) {
      hasBrokerFields = true;
    }
  }
  if (isEmpty && attributeCount === 0) throw invalid('Some messages are empty');
  if (attributeCount > limits.attributesPerMessage) {
    throw invalid(
      `A message has ${attributeCount} attributes; at most ${limits.attributesPerMessage} are allowed.`,
    );
  }
  return hasBrokerFields ? withoutBrokerFields(buffer, start, end) : message;
}

/**
 * Keys that Google's own clients add to what they publish when tracing is enabled; a user may set no other that begins
 * with goog: https://cloud.google.com/pubsub/docs/publisher#using-attributes. The W3C trace context has two, prefixed
 * in src/telemetry-tracing.ts of @google-cloud/pubsub and alike in Python, Go and Java; the third is that of older
 * Node clients.
 */
const keysOfClients = new Set([
  'googclient_traceparent',
  'googclient_tracestate',
  'googclient_OpenTelemetrySpanContext',
]);

/** An entry of a map<string, string>. */
function checkAttribute({ buffer, start, end }: FieldScanner): void {
  entry.reset(buffer, start, end);
  let key = '';
  while (entry.next()) {
    if (entry.field === 1) {
      checkText('attribute key', entry, limits.attributeKeyBytes);
      key = entry.text();
    } else if (entry.field === 2) checkText('attribute value', entry, limits.attributeValueBytes, key);
  }
  if (key === '') throw invalid('An attribute key is empty.');
  if (/^goog/i.test(key) && !keysOfClients.has(key)) {
    throw invalid(`An attribute key must not begin with goog: ${key}`);
  }
}

/** Bytes that are no UTF-8 would make clients of Go, Java and Python refuse the whole response that has them. */
function checkText(what: string, { buffer, start, end }: FieldScanner, max: number, key = ''): void {
  const bytes = end - start;
  if (bytes > max) throw invalid(`An ${what} has ${bytes} bytes; at most ${max} are allowed.`);
  if (isUtf8(buffer.subarray(start, end))) return;
  throw invalid(`An ${what} is no UTF-8${key === '' ? '' : ` (key=${key})`}.`);
}

/** PublishResponse */
export function writePublishResponse(messageIds: readonly string[]): Buffer {
  const lengthMax = 2 + (messageIds.at(-1)?.length ?? 0);
  const buffer = Buffer.allocUnsafe(messageIds.length * lengthMax);
  let at = 0;
  for (const id of messageIds) {
    buffer[at] = (1 << 3) | 2;
    buffer[at + 1] = id.length;
    at += 2 + buffer.write(id, at + 2, 'latin1');
  }
  return buffer.subarray(0, at);
}

export interface AckRequest {
  subscription: string;
  ids: AckId[];
  deadlineSeconds: number;
}

/** AcknowledgeRequest (ids in field 2) and ModifyAckDeadlineRequest (ids in field 4). */
export function readAckRequest(request: Buffer, idsField: 2 | 4): AckRequest {
  checkRequestBytes(request, limits.ackRequestBytes);
  const scanner = new FieldScanner(request);
  const found: AckRequest = { subscription: '', ids: [], deadlineSeconds: 0 };
  while (scanner.next()) {
    if (scanner.field === 1) found.subscription = scanner.text();
    else if (scanner.field === idsField) found.ids.push(readId(scanner));
    else if (scanner.field === 3) found.deadlineSeconds = scanner.value;
  }
  return found;
}

function readId(scanner: FieldScanner): AckId {
  const id = readAckId(scanner.buffer, scanner.start, scanner.end);
  if (!id) throw invalid(`Invalid ack id (ack_id=${scanner.text()})`);
  return id;
}

export interface PullRequest {
  subscription: string;
  isImmediate: boolean;
  messagesMax: number;
}

export function readPull(request: Buffer): PullRequest {
  checkRequestBytes(request, bounds.pullRequestBytes);
  const scanner = new FieldScanner(request);
  const found: PullRequest = { subscription: '', isImmediate: false, messagesMax: 0 };
  while (scanner.next()) {
    if (scanner.field === 1) found.subscription = scanner.text();
    else if (scanner.field === 2) found.isImmediate = scanner.value === 1;
    else if (scanner.field === 3) found.messagesMax = scanner.value;
  }
  return found;
}

export interface StreamRequest {
  subscription: string;
  ackIds: AckId[];
  modifyIds: AckId[];
  modifySeconds: number[];
  ackDeadlineSeconds: number;
  messagesMax: number;
  bytesMax: number;
  protocolVersion: number;
}

/** StreamingPullRequest */
export function readStreamRequest(request: Buffer): StreamRequest {
  checkRequestBytes(request, limits.ackRequestBytes);
  const found: StreamRequest = {
    subscription: '',
    ackIds: [],
    modifyIds: [],
    modifySeconds: [],
    ackDeadlineSeconds: 0,
    messagesMax: 0,
    bytesMax: 0,
    protocolVersion: 0,
  };
  const scanner = new FieldScanner(request);
  while (scanner.next()) {
    if (scanner.field === 1) found.subscription = scanner.text();
    else if (scanner.field === 2) found.ackIds.push(readId(scanner));
    else if (scanner.field === 3) readSeconds(scanner, found.modifySeconds);
    else if (scanner.field === 4) found.modifyIds.push(readId(scanner));
    else if (scanner.field === 5) found.ackDeadlineSeconds = scanner.value;
    else if (scanner.field === 7) found.messagesMax = scanner.value;
    else if (scanner.field === 8) found.bytesMax = scanner.value;
    else if (scanner.field === 10) found.protocolVersion = scanner.value;
  }
  return found;
}

/** Packed, as proto3 does, or one by one. */
function readSeconds(scanner: FieldScanner, into: number[]): void {
  if (scanner.isVarint) into.push(scanner.value);
  else for (const value of scanner.packed()) into.push(value);
}

export function ackIdText(id: AckId): string {
  const buffer = Buffer.allocUnsafe(ackIdBytes);
  writeAckId(id, buffer, 0);
  return buffer.toString('latin1');
}

/** With more than one message in it: by default gRPC clients, with an emulator Google's too, read 4 MiB at most. */
export const responseBytesMax = 3 * 1024 * 1024;

/**
 * The received_messages of a PullResponse or StreamingPullResponse, field 1 of both, as they are added.
 * The buffer is used again after it was taken: what was taken has to be sent before the next `add()`.
 */
export class ReceivedMessages {
  count = 0;
  /** Of the response so far. */
  get length(): number {
    return this.#end - prefixBytes;
  }

  /** What it keeps in memory. */
  get bufferBytes(): number {
    return this.#buffer.length;
  }

  #end = prefixBytes;
  #buffer: Buffer;

  constructor(bytes: number) {
    this.#buffer = Buffer.allocUnsafeSlow(bytes);
  }

  add(id: AckId, deliveryAttempt: number, from: Buffer, start: number, end: number): void {
    const messageBytes = end - start;
    const attemptBytes = deliveryAttempt > 0 ? 1 + varintBytes(deliveryAttempt) : 0;
    const bytes = 2 + ackIdBytes + 1 + varintBytes(messageBytes) + messageBytes + attemptBytes;
    this.#makeRoom(1 + varintBytes(bytes) + bytes);
    const buffer = this.#buffer;
    let at = this.#end;
    buffer[at++] = (1 << 3) | 2;
    at = writeVarint(buffer, bytes, at);
    buffer[at++] = (1 << 3) | 2;
    buffer[at++] = ackIdBytes;
    writeAckId(id, buffer, at);
    at += ackIdBytes;
    buffer[at++] = (2 << 3) | 2;
    at = writeVarint(buffer, messageBytes, at);
    from.copy(buffer, at, start, end);
    at += messageBytes;
    if (attemptBytes > 0) {
      buffer[at++] = 3 << 3;
      at = writeVarint(buffer, deliveryAttempt, at);
    }
    this.#end = at;
    this.count++;
  }

  /** Another field of the response, encoded. */
  addField(field: Buffer): void {
    this.#makeRoom(field.length);
    this.#end += field.copy(this.#buffer, this.#end);
  }

  /** The response. */
  take(): Buffer {
    return this.takeFramed().subarray(prefixBytes);
  }

  /** The response, with the prefix of a gRPC message in front. */
  takeFramed(): Buffer {
    writePrefix(this.#buffer, this.length);
    const taken = this.#buffer.subarray(0, this.#end);
    this.#end = prefixBytes;
    this.count = 0;
    return taken;
  }

  #makeRoom(bytes: number): void {
    if (this.#end + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#end + bytes, this.#buffer.length * 2));
    this.#buffer.copy(larger, 0, 0, this.#end);
    this.#buffer = larger;
  }
}
