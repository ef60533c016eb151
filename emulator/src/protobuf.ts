/**
 * Finds the fields of an encoded protobuf message without decoding it, and writes the few that are added.
 * Encoding: https://protobuf.dev/programming-guides/encoding/. A message's bytes stay where they are.
 */

/** Thrown for bytes that are no protobuf message. */
export class MalformedMessage extends Error {
  override name = 'MalformedMessage';
}

const wireTypes = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

/** A tag is a field's number, of 29 bits and not 0, and three bits of its type. */
const tagMin = 1 << 3;
const tagMax = 2 ** 32 - 1;

/** Walks over fields: after `next()` the current one is `field`, `value` (a varint) or `start` to `end` (bytes). */
export class FieldScanner {
  buffer: Buffer;
  field = 0;
  value = 0;
  /** Where the field begins, with its tag. */
  tagStart = 0;
  start = 0;
  end = 0;
  #at: number;
  #limit: number;

  constructor(buffer: Buffer, start = 0, end = buffer.length) {
    this.buffer = buffer;
    this.#at = start;
    this.#limit = end;
  }

  reset(buffer: Buffer, start: number, end: number): this {
    this.buffer = buffer;
    this.#at = start;
    this.#limit = end;
    return this;
  }

  next(): boolean {
    if (this.#at >= this.#limit) return false;
    this.tagStart = this.#at;
    const tag = this.#varint();
    this.field = Math.floor(tag / 8);
    if (tag < tagMin || tag > tagMax) {
      throw new MalformedMessage(`A field has number ${this.field}, which is not between 1 and 2^29 - 1.`);
    }
    const wireType = tag % 8;
    this.value = 0;
    this.isVarint = wireType === wireTypes.varint;
    this.start = this.#at;
    if (this.isVarint) {
      this.value = this.#varint();
      this.end = this.#at;
    } else if (wireType === wireTypes.bytes) {
      const length = this.#varint();
      // It would lead back to what was read already, for ever.
      if (length < 0) throw new MalformedMessage('A field has a length below 0.');
      this.start = this.#at;
      this.end = this.#at + length;
    } else if (wireType === wireTypes.fixed64) this.end = this.#at + 8;
    else if (wireType === wireTypes.fixed32) this.end = this.#at + 4;
    else throw new MalformedMessage(`A field has wire type ${wireType}.`);
    if (this.end > this.#limit) throw new MalformedMessage('A field is longer than its message.');
    this.#at = this.end;
    return true;
  }

  /** Whether the current field is a number. */
  isVarint = false;

  text(): string {
    return this.buffer.toString('utf8', this.start, this.end);
  }

  /** The numbers of a packed repeated field. */
  packed(): number[] {
    const inner = new FieldScanner(this.buffer, this.start, this.end);
    const values: number[] = [];
    while (inner.#at < inner.#limit) values.push(inner.#varint());
    return values;
  }

  get length(): number {
    return this.end - this.start;
  }

  /** As a signed 64-bit number; exact up to 2^53, which holds all that is read here. */
  #varint(): number {
    const { buffer } = this;
    let byte = this.#byte(buffer);
    if (byte < 0x80) return byte;
    let value = byte & 0x7f;
    let factor = 0x80;
    for (let count = 1; count < 9; count++) {
      byte = this.#byte(buffer);
      value += (byte & 0x7f) * factor;
      factor *= 0x80;
      if (byte < 0x80) return value;
    }
    // The tenth byte holds bit 63 alone, the sign, which an encoder may also write where it is 0.
    const sign = this.#byte(buffer);
    if (sign > 1) throw new MalformedMessage('A number is longer than 64 bits.');
    // Not of `value`: of a number just below 0 it has lost the low bits.
    return sign === 0 ? value : Number(this.#lowBits() - (1n << 63n));
  }

  /** The 63 that are in the nine bytes before the last one read. */
  #lowBits(): bigint {
    let bits = 0n;
    for (let count = 0; count < 9; count++) {
      bits |= BigInt((this.buffer[this.#at - 10 + count] ?? 0) & 0x7f) << BigInt(7 * count);
    }
    return bits;
  }

  #byte(buffer: Buffer): number {
    const byte = buffer[this.#at];
    if (byte === undefined || this.#at >= this.#limit) throw new MalformedMessage('A field ends too early.');
    this.#at++;
    return byte;
  }
}

export function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes++;
  return bytes;
}

/** Writes `value` and returns where it ends. */
export function writeVarint(buffer: Buffer, value: number, at: number): number {
  let offset = at;
  let rest = value;
  while (rest >= 0x80) {
    buffer[offset++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  buffer[offset++] = rest;
  return offset;
}

/** A field of bytes or text, encoded. */
export function encodeField(field: number, value: Buffer | string): Buffer {
  const bytes = typeof value === 'string' ? Buffer.from(value) : value;
  const head = Buffer.allocUnsafe(varintBytes(field * 8 + 2) + varintBytes(bytes.length));
  const at = writeVarint(head, field * 8 + wireTypes.bytes, 0);
  writeVarint(head, bytes.length, at);
  return Buffer.concat([head, bytes]);
}
