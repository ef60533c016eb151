/**
 * The write envelope: what travels from api to writer as the data of one message.
 *
 * BSON `{ v: 1, writes: [ …documents as MongoDB stores them… ] }`. BSON, because ids and dates stay
 * typed and a batch of 50 writes costs 55 µs to encode and 69 µs to decode, against 132 and 61 as JSON,
 * whose ids and dates then still need parsing. An envelope carries the writes of all requests that
 * arrived together, so what a message costs client, broker and writer is shared between them.
 *
 * The api owns this contract; the writer imports it. A change of shape is a new `v`.
 */
import { randomBytes } from 'node:crypto';
import { BSON, ObjectId } from 'mongodb';
import { z } from 'zod';

export const envelopeVersion = 1;

/** Writes in one envelope: one bulkWrite call of the writer, whose batches are of this size. */
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

/** What one encoded `type: "write"` document takes in an envelope, its array key included; measured. */
const writeBytes = 604;

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

const envelopeSchema = z.strictObject({
  v: z.literal(envelopeVersion),
  writes: z
    .array(z.discriminatedUnion('type', [writeSchema, recordSchema]))
    .min(1)
    .max(envelopeWritesMax),
});

/** One intended document, exactly as MongoDB will hold it. */
export type Write = z.output<typeof envelopeSchema>['writes'][number];

/** Why a message's data is no envelope; `message` is short enough for a message attribute. */
export class UnreadableEnvelope extends Error {
  override name = 'UnreadableEnvelope';
}

/** The five documents of one GET /api/data, with ids made here so that a redelivery changes nothing. */
export function createWrites(timestamp: Date): Write[] {
  const writes: Write[] = [];
  for (let index = 0; index < writesPerRequest; index++) {
    const payload = randomBytes(payloadBytes).toString('hex');
    writes.push({ _id: new ObjectId(), type: 'write', index, payload, timestamp });
  }
  return writes;
}

/** A caller's own document, as POST /api/records accepts it. */
export function createRecord(document: Record<string, unknown>, timestamp: Date): Write {
  return { _id: new ObjectId(), type: 'record', document, timestamp };
}

/** Bytes that `write` takes in an envelope, for bounds; exact for a record, a constant for a write. */
export function encodedBytes(write: Write): number {
  return write.type === 'write' ? writeBytes : BSON.calculateObjectSize(write) + 8;
}

/** @throws RangeError when the writes are none, or over `envelopeWritesMax` or `envelopeBytesMax`. */
export function encodeEnvelope(writes: readonly Write[]): Buffer {
  if (writes.length === 0 || writes.length > envelopeWritesMax) {
    throw new RangeError(`an envelope holds 1 to ${envelopeWritesMax} writes, got ${writes.length}`);
  }
  const bytes = BSON.serialize({ v: envelopeVersion, writes }, { ignoreUndefined: true });
  if (bytes.length > envelopeBytesMax) {
    throw new RangeError(`an envelope holds at most ${envelopeBytesMax} bytes, got ${bytes.length}`);
  }
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** @throws UnreadableEnvelope for anything that `encodeEnvelope` would not have made. */
export function decodeEnvelope(data: Uint8Array): Write[] {
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
  if (result.success) return result.data.writes;
  const issue = result.error.issues[0];
  throw new UnreadableEnvelope(`${issue?.path.join('.') || 'envelope'}: ${issue?.message}`);
}
