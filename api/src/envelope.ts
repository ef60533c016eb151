/**
 * The write envelope: what travels from api to writer as the data of one message.
 *
 * BSON `{ v: 2, writes: Binary, records: […] }`. `writes` holds the documents of GET /api/data, 275 bytes each: id,
 * index, time, and the 256 bytes whose hex is the payload. As documents they would be 604 bytes, which client, broker
 * and disk then carry, and 2.3 µs each to decode instead of 0.3. `records` holds callers' own documents as MongoDB
 * stores them. An envelope carries the writes of all requests that arrived together, so what a message costs client,
 * broker and writer is shared between them.
 *
 * The api owns this contract; the writer imports it. A change of shape is a new `v`; version 1, in which `writes` were
 * documents as well, is still read, so that a backlog outlives an update.
 */
import { randomFillSync } from 'node:crypto';
import { Binary, BSON, ObjectId } from 'mongodb';
import { z } from 'zod';

/** Writes in one envelope; a batch of the writer holds two of the largest. */
export const envelopeWritesMax = 1_000;

/**
 * Bytes of one encoded envelope. It has to hold the largest body of POST /api/records: a digit in a JSON
 * array takes 2 bytes there and 12 as BSON, so 256 KiB become 1.5 MiB. Pub/Sub takes 10 MB a publish.
 */
export const envelopeBytesMax = 2 * 1024 * 1024;

export const writesPerRequest = 5;
export const readsPerRequest = 5;

/** 256 random bytes are 512 hex characters. */
const payloadBytes = 256;

/** Where a packed write has its parts; the time is milliseconds since 1970. */
const packed = { id: 0, index: 12, timestamp: 13, payload: 19, bytes: 275 } as const;
const timestampBytes = 6;

const objectId = z.instanceof(ObjectId, { error: 'wants an ObjectId' });

/**
 * A caller's own JSON is passed through untouched: `z.record` would drop a `__proto__` key
 * and walk every value.
 */
const plainObject = z.custom<Record<string, unknown>>(
  (value) => typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype,
  { error: 'wants an object' },
);

const writeSchema = z.strictObject({
  _id: objectId,
  type: z.literal('write'),
  index: z
    .int()
    .min(0)
    .max(writesPerRequest - 1),
  payload: z.string().length(payloadBytes * 2),
  timestamp: z.date(),
});

const recordSchema = z.strictObject({
  _id: objectId,
  type: z.literal('record'),
  document: plainObject,
  timestamp: z.date(),
});

const documentsSchema = z.strictObject({
  v: z.literal(1),
  writes: z
    .array(z.discriminatedUnion('type', [writeSchema, recordSchema]))
    .min(1)
    .max(envelopeWritesMax),
});

const packedSchema = z
  .strictObject({
    v: z.literal(2),
    writes: z
      .instanceof(Binary, { error: 'wants binary data' })
      .transform((binary) => Buffer.from(binary.buffer.buffer, binary.buffer.byteOffset, binary.position))
      .refine((bytes) => bytes.length % packed.bytes === 0, {
        error: `wants ${packed.bytes} bytes a write`,
        abort: true,
      })
      .refine(areIndexesInRange, { error: `wants an index from 0 to ${writesPerRequest - 1} in each` }),
    // Its own limit, because each record of a message that has 150,000 empty ones is a failure with four causes: 280 MB.
    records: z.array(recordSchema).max(envelopeWritesMax),
  })
  .refine(({ writes, records }) => isCountInRange(writes.length / packed.bytes + records.length), {
    error: `wants 1 to ${envelopeWritesMax} writes`,
  });

const envelopeSchema = z.discriminatedUnion('v', [documentsSchema, packedSchema]);

/** One intended document, exactly as MongoDB will hold it. */
export type Write = z.output<typeof documentsSchema>['writes'][number];

/** Why a message's data is no envelope; `message` is short enough for a message attribute. */
export class UnreadableEnvelope extends Error {
  override name = 'UnreadableEnvelope';
}

/**
 * The five documents of one GET /api/data, with ids made here so that a redelivery changes nothing.
 * @param ids those of an idempotency key; without them each document gets a new one
 */
export function createWrites(timestamp: Date, ids?: readonly ObjectId[]): Write[] {
  const writes: Write[] = [];
  for (let index = 0; index < writesPerRequest; index++) {
    const _id = ids?.[index] ?? new ObjectId();
    writes.push({ _id, type: 'write', index, payload: randomPayload(), timestamp });
  }
  return writes;
}

/** Random bytes are drawn for this many payloads at once: drawing 256 takes 2.6 µs, of which 0.1 are theirs. */
const pool = Buffer.alloc(256 * payloadBytes);
let poolUsed = pool.length;

function randomPayload(): string {
  if (poolUsed === pool.length) {
    randomFillSync(pool);
    poolUsed = 0;
  }
  const start = poolUsed;
  poolUsed += payloadBytes;
  return pool.toString('hex', start, poolUsed);
}

/** A caller's own document, as POST /api/records accepts it. */
export function createRecord(
  document: Record<string, unknown>,
  timestamp: Date,
  _id: ObjectId = new ObjectId(),
): Write {
  return { _id, type: 'record', document, timestamp };
}

/** Bytes that `write` takes in an envelope, for bounds; its array key included. */
export function encodedBytes(write: Write): number {
  return write.type === 'write' ? packed.bytes : BSON.calculateObjectSize(write) + 8;
}

/**
 * An envelope that is being filled, with writes as `createWrites` and `createRecord` make them. They are encoded as they
 * come, so that of thousands of requests that wait the heap holds no writes, which the garbage collector would move.
 * What is decoded has the records last.
 */
export class EnvelopeBuilder {
  #packed = Buffer.allocUnsafe(buildBytesMin);
  #used = 0;
  /** Each a BSON document. */
  readonly #records: Uint8Array[] = [];

  get count(): number {
    return this.#used / packed.bytes + this.#records.length;
  }

  writes(): Write[] {
    const records = this.#records.map((bytes) => BSON.deserialize(bytes) as Write);
    return [...unpack(this.#packed.subarray(0, this.#used)), ...records];
  }

  add(write: Write): void {
    if (write.type === 'record') {
      this.#records.push(BSON.serialize(write, { ignoreUndefined: true }));
      return;
    }
    const start = this.#used;
    this.#used += packed.bytes;
    if (this.#used > this.#packed.length) this.#grow();
    const bytes = this.#packed;
    bytes.set(write._id.id, start);
    bytes[start + packed.index] = write.index;
    bytes.writeUIntBE(write.timestamp.getTime(), start + packed.timestamp, timestampBytes);
    bytes.write(write.payload, start + packed.payload, payloadBytes, 'hex');
  }

  #grow(): void {
    const grown = Buffer.allocUnsafe(2 * this.#packed.length);
    this.#packed.copy(grown);
    this.#packed = grown;
  }

  /** @throws RangeError when the writes are none, or over `envelopeWritesMax` or `envelopeBytesMax`. */
  encode(): Buffer {
    if (!isCountInRange(this.count)) {
      throw new RangeError(`an envelope holds 1 to ${envelopeWritesMax} writes, got ${this.count}`);
    }
    const writes = new Binary(this.#packed.subarray(0, this.#used));
    const bytes = appendArray(BSON.serialize({ v: 2, writes }), 'records', this.#records);
    if (bytes.length > envelopeBytesMax) {
      throw new RangeError(`an envelope holds at most ${envelopeBytesMax} bytes, got ${bytes.length}`);
    }
    return bytes;
  }
}

/** `document` with one more field, an array of documents. All of it is BSON, https://bsonspec.org/spec.html. */
function appendArray(document: Uint8Array, name: string, items: readonly Uint8Array[]): Buffer {
  const elements = items.flatMap((item, index) => [Buffer.from(`\x03${index}\0`, 'latin1'), item]);
  const array = enclose(elements);
  return enclose([document.subarray(4, -1), Buffer.from(`\x04${name}\0`, 'latin1'), array]);
}

/** Elements as a document: its length, they, and a zero. */
function enclose(elements: readonly Uint8Array[]): Buffer {
  const bytes = Buffer.concat([Buffer.alloc(4), ...elements, Buffer.alloc(1)]);
  bytes.writeInt32LE(bytes.length);
  return bytes;
}

/** One request's writes without allocating again. */
const buildBytesMin = 2 * 1024;

/** An envelope of these writes. @throws RangeError as `EnvelopeBuilder`. */
export function encodeEnvelope(writes: readonly Write[]): Buffer {
  const builder = new EnvelopeBuilder();
  for (const write of writes) builder.add(write);
  return builder.encode();
}

/** An envelope that was read and found sound. Its packed writes are bytes until they are asked for; records are documents. */
export interface ReadableEnvelope {
  /** Of its writes. */
  count: number;
  writes(): Write[];
}

/** The writes of `readEnvelope`. @throws UnreadableEnvelope as that. */
export function decodeEnvelope(data: Uint8Array): Write[] {
  return readEnvelope(data).writes();
}

/** @throws UnreadableEnvelope for anything that `encodeEnvelope` would not have made, now or in version 1. */
export function readEnvelope(data: Uint8Array): ReadableEnvelope {
  if (data.length > envelopeBytesMax) {
    throw new UnreadableEnvelope(`an envelope holds at most ${envelopeBytesMax} bytes, got ${data.length}`);
  }
  let document: unknown;
  try {
    document = BSON.deserialize(data, { allowObjectSmallerThanBufferSize: false });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new UnreadableEnvelope(`not a BSON document: ${reason}`, { cause });
  }
  const result = envelopeSchema.safeParse(document);
  if (result.success) {
    const envelope = result.data;
    if (envelope.v === 1) return { count: envelope.writes.length, writes: () => envelope.writes };
    const { writes, records } = envelope;
    return {
      count: writes.length / packed.bytes + records.length,
      writes: () => [...unpack(writes), ...records],
    };
  }
  const issue = result.error.issues[0];
  throw new UnreadableEnvelope(`${issue?.path.join('.') || 'envelope'}: ${issue?.message}`);
}

function unpack(bytes: Buffer): Write[] {
  const writes: Write[] = [];
  for (let start = 0; start < bytes.length; start += packed.bytes) {
    writes.push({
      _id: new ObjectId(bytes.subarray(start, start + packed.index)),
      type: 'write',
      index: bytes.readUInt8(start + packed.index),
      payload: bytes.toString('hex', start + packed.payload, start + packed.bytes),
      timestamp: new Date(bytes.readUIntBE(start + packed.timestamp, timestampBytes)),
    });
  }
  return writes;
}

function areIndexesInRange(bytes: Buffer): boolean {
  for (let start = 0; start < bytes.length; start += packed.bytes) {
    if (bytes.readUInt8(start + packed.index) >= writesPerRequest) return false;
  }
  return true;
}

function isCountInRange(count: number): boolean {
  return count >= 1 && count <= envelopeWritesMax;
}
