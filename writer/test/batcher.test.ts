import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { createWrites, encodeEnvelope, readEnvelope } from '@assessment/api/envelope';
import { type BatcherOptions, createBatcher, type FlushReason } from '../src/batcher.ts';

function collect(context: TestContext, limits: Partial<BatcherOptions<string>> = {}) {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const flushed: { messages: string[]; reason: FlushReason }[] = [];
  const batcher = createBatcher<string>({
    writesMax: 15,
    bytesMax: 10_000,
    ageMaxMs: 20,
    onBatch: (batch, _writes, reason) =>
      flushed.push({ messages: batch.map(({ message }) => message), reason }),
    ...limits,
  });
  const add = (message: string, bytes = 100) =>
    batcher.add({ envelope: readEnvelope(encodeEnvelope(createWrites(new Date()))), bytes, message });
  return { add, drain: batcher.drain, flushed, tick: (ms: number) => context.mock.timers.tick(ms) };
}

test('hands on a batch when it is full by count, and not before', (context) => {
  const { add, flushed } = collect(context);
  add('a');
  add('b');
  assert.deepEqual(flushed, []);
  add('c');
  assert.deepEqual(flushed, [{ messages: ['a', 'b', 'c'], reason: 'count' }]);
});

test('hands on what it has when the next envelope would not fit by count', (context) => {
  const { add, flushed } = collect(context, { writesMax: 12 });
  add('a');
  add('b');
  add('c');
  assert.deepEqual(flushed, [{ messages: ['a', 'b'], reason: 'count' }]);
});

test('hands on what it has when the next envelope would not fit by bytes, and a full batch at once', (context) => {
  const { add, flushed } = collect(context);
  add('a', 6_000);
  add('b', 6_000);
  add('c', 4_000);
  assert.deepEqual(flushed, [
    { messages: ['a'], reason: 'bytes' },
    { messages: ['b', 'c'], reason: 'bytes' },
  ]);
});

test('takes an envelope over a limit as a batch of its own', (context) => {
  const { add, flushed } = collect(context, { writesMax: 1 });
  add('a');
  assert.deepEqual(flushed, [{ messages: ['a'], reason: 'count' }]);
});

test('hands on a batch when its first envelope is old, counted from that envelope', (context) => {
  const { add, flushed, tick } = collect(context);
  add('a');
  tick(19);
  add('b');
  assert.deepEqual(flushed, []);
  tick(1);
  assert.deepEqual(flushed, [{ messages: ['a', 'b'], reason: 'age' }]);
  tick(1_000);
  assert.equal(flushed.length, 1);
});

test('starts the age anew for the envelope after a flush', (context) => {
  const { add, flushed, tick } = collect(context);
  for (const message of ['a', 'b', 'c']) add(message);
  tick(15);
  add('d');
  tick(19);
  assert.equal(flushed.length, 1);
  tick(1);
  assert.deepEqual(flushed[1], { messages: ['d'], reason: 'age' });
});

test('drain hands on what it has, once', (context) => {
  const { add, drain, flushed, tick } = collect(context);
  add('a');
  drain();
  drain();
  tick(1_000);
  assert.deepEqual(flushed, [{ messages: ['a'], reason: 'drain' }]);
});
