import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BSON, ObjectId } from 'mongodb';
import {
  createRecord,
  createWrites,
  decodeEnvelope,
  encodedBytes,
  encodeEnvelope,
  envelopeBytesMax,
  envelopeWritesMax,
  UnreadableEnvelope,
  type Write,
} from '../src/envelope.ts';

function manyWrites(count: number): Write[] {
  const [write] = createWrites(new Date());
  assert.ok(write);
  return Array.from({ length: count }, () => ({ ...write, _id: new ObjectId() }));
}

test('carries writes and records unchanged, ids and dates typed', () => {
  const now = new Date('2026-01-02T03:04:05.678Z');
  const writes = [...createWrites(now), createRecord({ a: [1, null, { b: 'ü' }], __proto__2: 1.5 }, now)];
  assert.deepEqual(decodeEnvelope(encodeEnvelope(writes)), writes);
});

test('reads version 1, in which writes are documents, so that a backlog outlives an update', () => {
  const writes = [...createWrites(new Date()), createRecord({ a: 1 }, new Date())];
  assert.deepEqual(decodeEnvelope(BSON.serialize({ v: 1, writes })), writes);
});

test('carries a write of GET /api/data in less than half the bytes of its document', () => {
  const writes = createWrites(new Date());
  assert.ok(encodeEnvelope(writes).length * 2 < BSON.calculateObjectSize({ writes }));
});

test('makes five writes of 512 hex characters with distinct ids', () => {
  const writes = createWrites(new Date());
  assert.deepEqual(
    writes.map((write) => write.type === 'write' && write.index),
    [0, 1, 2, 3, 4],
  );
  for (const write of writes) assert.match(write.type === 'write' ? write.payload : '', /^[0-9a-f]{512}$/);
  assert.equal(new Set(writes.map((write) => write._id.toHexString())).size, 5);
});

test('keeps a __proto__ key of a record as data', () => {
  const document = JSON.parse('{"__proto__":{"polluted":true},"a":1}');
  const [decoded] = decodeEnvelope(encodeEnvelope([createRecord(document, new Date())]));
  assert.ok(decoded?.type === 'record');
  assert.equal(JSON.stringify(decoded.document), '{"__proto__":{"polluted":true},"a":1}');
  assert.equal(({} as { polluted?: boolean }).polluted, undefined);
});

test('takes the largest number of writes and refuses one more', () => {
  assert.equal(decodeEnvelope(encodeEnvelope(manyWrites(envelopeWritesMax))).length, envelopeWritesMax);
  assert.throws(() => encodeEnvelope(manyWrites(envelopeWritesMax + 1)), RangeError);
  assert.throws(() => encodeEnvelope([]), RangeError);
});

test('estimates at least the bytes that a write takes', () => {
  for (const count of [1, 11, envelopeWritesMax]) {
    const writes = manyWrites(count);
    const estimate = writes.reduce((sum, write) => sum + encodedBytes(write), 64);
    assert.ok(encodeEnvelope(writes).length <= estimate);
  }
  const record = createRecord({ text: 'ü'.repeat(1000) }, new Date());
  assert.ok(encodeEnvelope([record]).length <= encodedBytes(record) + 64);
});

test('refuses what is over the limit in bytes, on both ends', () => {
  const large = createRecord({ text: 'x'.repeat(envelopeBytesMax) }, new Date());
  assert.throws(() => encodeEnvelope([large]), RangeError);
  const bytes = BSON.serialize({ v: 1, writes: [large] });
  assert.throws(() => decodeEnvelope(bytes), /at most 2097152 bytes/);
});

const valid = {
  _id: new ObjectId(),
  type: 'write',
  index: 0,
  payload: 'a'.repeat(512),
  timestamp: new Date(),
};
/** Writes of version 2 with these indexes, all else zero. */
function packed(...indexes: number[]): Buffer {
  return Buffer.concat(
    indexes.map((index) => Buffer.concat([Buffer.alloc(12), Buffer.of(index), Buffer.alloc(262)])),
  );
}

const unreadable: [string, unknown, RegExp][] = [
  ['another version', { v: 3, writes: [valid] }, /^v: /],
  ['no writes', { v: 1, writes: [] }, /^writes: /],
  ['a write with an unknown type', { v: 1, writes: [{ ...valid, type: 'x' }] }, /^writes\.0\.type: /],
  ['an id that is no ObjectId', { v: 1, writes: [{ ...valid, _id: 'abc' }] }, /^writes\.0\._id: /],
  ['an index out of range', { v: 1, writes: [{ ...valid, index: 5 }] }, /^writes\.0\.index: /],
  ['a short payload', { v: 1, writes: [{ ...valid, payload: 'aa' }] }, /^writes\.0\.payload: /],
  ['an unknown field', { v: 1, writes: [{ ...valid, extra: 1 }] }, /^writes\.0: /],
  ['documents where bytes belong', { v: 2, writes: [valid], records: [] }, /^writes: wants binary data/],
  ['half a write', { v: 2, writes: packed(1).subarray(1), records: [] }, /^writes: wants 275 bytes a write/],
  ['an index of 5', { v: 2, writes: packed(5), records: [] }, /^writes: wants an index from 0 to 4/],
  ['nothing at all', { v: 2, writes: packed(), records: [] }, /^envelope: wants 1 to 1000 writes/],
  ['too many', { v: 2, writes: packed(...Array(1_001).fill(0)), records: [] }, /^envelope: wants 1 to 1000/],
  [
    'more records than it may hold before it looks at them',
    { v: 2, writes: packed(), records: Array(150_000).fill({}) },
    /^records: Too big/,
  ],
  ['a write among the records', { v: 2, writes: packed(0), records: [valid] }, /^records\.0\./],
  ['a timestamp as text', { v: 1, writes: [{ ...valid, timestamp: 'now' }] }, /^writes\.0\.timestamp: /],
];
for (const [what, envelope, message] of unreadable) {
  test(`refuses ${what} and names the field`, () => {
    const bytes = BSON.serialize(envelope as BSON.Document);
    assert.throws(
      () => decodeEnvelope(bytes),
      (error: Error) => error instanceof UnreadableEnvelope && message.test(error.message),
    );
  });
}

test('refuses any bytes that are no envelope with an UnreadableEnvelope, and nothing else', () => {
  const encoded = encodeEnvelope(createWrites(new Date()));
  const damaged = fc
    .tuple(fc.nat(encoded.length - 1), fc.nat(255))
    .map(([at, byte]) =>
      Buffer.concat([encoded.subarray(0, at), Buffer.from([byte]), encoded.subarray(at + 1)]),
    );
  const cut = fc.nat(encoded.length - 1).map((length) => encoded.subarray(0, length));
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 600 }), damaged, cut), (bytes) => {
      try {
        const writes = decodeEnvelope(bytes);
        assert.equal(writes.length, 5);
      } catch (error) {
        assert.ok(error instanceof UnreadableEnvelope, String(error));
      }
    }),
    { numRuns: 2_000 },
  );
});

test('refuses any document that is not one of its own with an UnreadableEnvelope, and nothing else', () => {
  const value = fc.oneof(fc.jsonValue(), fc.date(), fc.constant(new ObjectId()), fc.uint8Array());
  const key = fc.oneof(
    fc.constantFrom(
      '_id',
      'type',
      'index',
      'payload',
      'document',
      'timestamp',
      '__proto__',
      'constructor',
      '$set',
    ),
    fc.stringMatching(/^[^\0]{0,20}$/),
  );
  const almost = fc.tuple(
    fc.constantFrom<Write>(...createWrites(new Date()), createRecord({ a: 1 }, new Date())),
    key,
    value,
  );
  const write = fc.oneof(
    fc.dictionary(key, value),
    almost.map(([one, name, other]) => ({ ...one, [name]: other })),
  );
  const documents = fc.oneof({ weight: 9, arbitrary: fc.array<unknown>(write, { maxLength: 4 }) }, value);
  const version = (v: number) => fc.oneof({ weight: 9, arbitrary: fc.constant<unknown>(v) }, value);
  const indexes = fc.array(fc.nat(5), { maxLength: 4 });
  const bytes = fc.oneof({ weight: 9, arbitrary: indexes.map((all): unknown => packed(...all)) }, value);
  const envelope = fc.oneof(
    fc.record({ v: version(1), writes: documents }),
    fc.record({ v: version(2), writes: bytes, records: documents }),
  );
  fc.assert(
    fc.property(envelope, (document) => {
      const bytes = BSON.serialize(document);
      try {
        assert.ok(decodeEnvelope(bytes).length > 0);
      } catch (error) {
        assert.ok(error instanceof UnreadableEnvelope, String(error));
      }
    }),
    { numRuns: 2_000 },
  );
});
