/**
 * A message in the form in which it is kept and delivered: Google's PubsubMessage encoding, bytes as they came,
 * with message_id and publish_time at its end. Nothing of it is decoded and encoded again on its way.
 */
import { encodeField, FieldScanner, varintBytes, writeVarint } from '../protobuf.ts';

/** Field numbers of google.pubsub.v1.PubsubMessage. */
export const messageFields = {
  data: 1,
  attributes: 2,
  messageId: 3,
  publishTime: 4,
  orderingKey: 5,
} as const;

/** A message to be published, without message_id and publish_time. */
export interface NewMessage {
  buffer: Buffer;
  start: number;
  end: number;
}

export type Attributes = Map<string, string>;

const scanner = new FieldScanner(Buffer.alloc(0));
const entryScanner = new FieldScanner(Buffer.alloc(0));

export function readOrderingKey(buffer: Buffer, start: number, end: number): string {
  scanner.reset(buffer, start, end);
  let key = '';
  while (scanner.next()) if (scanner.field === messageFields.orderingKey) key = scanner.text();
  return key;
}

export function readAttributes(buffer: Buffer, start: number, end: number): Attributes {
  scanner.reset(buffer, start, end);
  const attributes: Attributes = new Map();
  while (scanner.next()) {
    if (scanner.field !== messageFields.attributes) continue;
    const [key, value] = readEntry(scanner);
    attributes.set(key, value);
  }
  return attributes;
}

/** An entry of a map<string, string>. */
function readEntry({ buffer, start, end }: FieldScanner): [key: string, value: string] {
  entryScanner.reset(buffer, start, end);
  let key = '';
  let value = '';
  while (entryScanner.next()) {
    if (entryScanner.field === 1) key = entryScanner.text();
    else if (entryScanner.field === 2) value = entryScanner.text();
  }
  return [key, value];
}

export function readPublishTime(buffer: Buffer, start: number, end: number): Date {
  scanner.reset(buffer, start, end);
  let ms = 0;
  while (scanner.next()) {
    if (scanner.field !== messageFields.publishTime) continue;
    entryScanner.reset(buffer, scanner.start, scanner.end);
    while (entryScanner.next()) ms += entryScanner.value * (entryScanner.field === 1 ? 1e3 : 1e-6);
  }
  return new Date(Math.round(ms));
}

/** The fields of a message but for those that the broker sets, and more attributes. */
export function withoutBrokerFields(
  buffer: Buffer,
  start: number,
  end: number,
  attributes: Iterable<[string, string]> = [],
): NewMessage {
  scanner.reset(buffer, start, end);
  const pieces: Buffer[] = [];
  while (scanner.next()) {
    if (scanner.field === messageFields.messageId || scanner.field === messageFields.publishTime) continue;
    pieces.push(buffer.subarray(scanner.tagStart, scanner.end));
  }
  for (const [key, value] of attributes) {
    const entry = Buffer.concat([encodeField(1, key), encodeField(2, value)]);
    pieces.push(encodeField(messageFields.attributes, entry));
  }
  const bytes = Buffer.concat(pieces);
  return { buffer: bytes, start: 0, end: bytes.length };
}

const countDigits = 11;

/**
 * The ids of messages: the number of the broker's start (epochs.ts), then eleven digits that count the messages since
 * then. No two are ever the same. A start that has given 10^11, which takes two weeks at 80,000/s, goes on with ids that
 * are a digit longer.
 */
export class MessageIds {
  #next: number;
  #epoch: () => number;

  constructor(epoch: () => number, next = 0) {
    this.#epoch = epoch;
    this.#next = next;
  }

  /** @returns the number of the first of `count` ids that follow each other, all of the same length. */
  take(count: number): number {
    const longer = 10 ** countDigits;
    const first = this.#next < longer && this.#next + count > longer ? longer : this.#next;
    this.#next = first + count;
    return first;
  }

  text(number: number): string {
    return `${this.#epoch()}${String(number).padStart(countDigits, '0')}`;
  }
}

/** message_id and publish_time as they follow a message's own bytes; `increment` counts up in place. */
export class BrokerFields {
  readonly bytes: Buffer;
  #digitsEnd: number;

  constructor(firstId: string, timeMs: number) {
    const id = encodeField(messageFields.messageId, firstId);
    this.bytes = Buffer.concat([id, encodeField(messageFields.publishTime, encodeTimestamp(timeMs))]);
    this.#digitsEnd = id.length;
  }

  /** From one id to the next: digits in place, because a new string a message cost 0.3 µs. */
  increment(): void {
    const digitZero = 0x30;
    for (let at = this.#digitsEnd - 1; at >= 0; at--) {
      const digit = (this.bytes[at] ?? 0) + 1;
      if (digit <= digitZero + 9) {
        this.bytes[at] = digit;
        return;
      }
      this.bytes[at] = digitZero;
    }
  }
}

export function encodeTimestamp(timeMs: number): Buffer {
  const seconds = Math.floor(timeMs / 1_000);
  const nanos = Math.round((timeMs - seconds * 1_000) * 1e6);
  const buffer = Buffer.allocUnsafe(2 + varintBytes(seconds) + varintBytes(nanos));
  buffer[0] = 1 << 3;
  const at = writeVarint(buffer, seconds, 1);
  if (nanos === 0) return buffer.subarray(0, at);
  buffer[at] = 2 << 3;
  return buffer.subarray(0, writeVarint(buffer, nanos, at + 1));
}
