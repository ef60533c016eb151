import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ObjectId } from 'mongodb';
import { ApiError } from '../src/errors.ts';
import { isKeyedId, keyedIds, readIdempotencyKey } from '../src/idempotency-key.ts';

const hexOf = (ids: ObjectId[]) => ids.map((id) => id.toHexString());

test('takes a key of 1 to 255 visible characters as it is', () => {
  assert.equal(readIdempotencyKey(undefined), undefined);
  for (const key of ['k', '!', '~', '"8e03978e-40d5-43dd-bc93-6894a57f9324"', 'x'.repeat(255)]) {
    assert.equal(readIdempotencyKey(key), key);
  }
});

test('refuses every other key, and two header lines', () => {
  for (const key of ['', 'x'.repeat(256), 'a b', 'a, b', '\t', '\x7f', 'ä', 'a\u0000', ['a', 'b']]) {
    assert.throws(
      () => readIdempotencyKey(key),
      (error) => error instanceof ApiError && error.code === 'invalid_request',
    );
  }
});

test('makes the ids of a request of its key, its scope and their index alone', () => {
  const ids = hexOf(keyedIds('order-1', '', 100));
  assert.equal(new Set(ids).size, 100);
  assert.deepEqual(hexOf(keyedIds('order-1', '', 5)), ids.slice(0, 5));
  const others = [keyedIds('order-2', '', 100), keyedIds('order-1', 'token', 100)].flatMap(hexOf);
  assert.equal(new Set([...ids, ...others]).size, 300);
  // What one of today's processes stored is what one of tomorrow's has to find.
  assert.deepEqual(hexOf(keyedIds('k', '', 2)), ['d465ba86ba336bc7047558f6', '9d533affebfb229460a12d59']);
});

test('tells ids made of a key from those made of the time', () => {
  for (const id of keyedIds('order-1', '', 100)) assert.ok(isKeyedId(id));
  assert.ok(!isKeyedId(new ObjectId()));
});
