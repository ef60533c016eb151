import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Budget, requestBytes } from '../src/budget.ts';
import type { ApiError } from '../src/errors.ts';

const mebibyte = 1024 * 1024;

/** A request that was let in, and its body of at most 256 KiB. */
function arrive(budget: Budget) {
  assert.ok(budget.take(requestBytes));
  const refusals: ApiError[] = [];
  const arrival = budget.arrive(256 * 1024, (error) => refusals.push(error));
  return { arrival, refusals };
}

test('takes what there is room for, to the byte', () => {
  const budget = new Budget(100);
  assert.equal(budget.take(60), true);
  assert.equal(budget.take(41), false);
  assert.equal(budget.take(40), true);
  assert.equal(budget.heldBytes, 100);
  budget.give(60);
  assert.equal(budget.take(61), false);
  assert.equal(budget.take(60), true);
});

test('puts a body together whatever its pieces are, and holds at most twice its size', () => {
  const body = Buffer.from(Array.from({ length: 100_000 }, (_, index) => index % 256));
  for (const pieceBytes of [1, 7, 4_096, 65_536, body.length]) {
    const budget = new Budget(mebibyte);
    const { arrival } = arrive(budget);
    for (let at = 0; at < body.length; at += pieceBytes) {
      arrival.add(body.subarray(at, at + pieceBytes));
      const held = budget.heldBytes - requestBytes;
      assert.ok(held <= Math.max(1_024, 2 * Math.min(body.length, at + pieceBytes)), `${held} at ${at}`);
    }
    assert.deepEqual(arrival.end(), body);
    arrival.release();
    assert.equal(budget.heldBytes, requestBytes);
  }
});

test('keeps a body of its maximum, and nothing of a longer one', () => {
  const budget = new Budget(mebibyte);
  const { arrival } = arrive(budget);
  arrival.add(Buffer.alloc(200 * 1024));
  arrival.add(Buffer.alloc(56 * 1024));
  assert.equal(budget.heldBytes, requestBytes + 256 * 1024);
  arrival.add(Buffer.alloc(1));
  assert.equal(arrival.length, 256 * 1024 + 1);
  assert.equal(budget.heldBytes, requestBytes);
});

test('refuses the bodies that have been silent for longest when those that arrive hold half, and gives back what they held', () => {
  const budget = new Budget(mebibyte);
  const [first, second, third] = [arrive(budget), arrive(budget), arrive(budget)];
  const piece = Buffer.alloc(128 * 1024);
  for (const { arrival } of [first, second, third]) arrival.add(piece);
  // The first goes on, so now the second is silent for longest.
  first.arrival.add(Buffer.alloc(0));
  const fourth = arrive(budget);
  fourth.arrival.add(piece);
  assert.deepEqual(
    [first, second, third, fourth].map(({ refusals }) => refusals.map(({ code }) => code)),
    [[], ['overloaded'], [], []],
  );
  assert.equal(budget.heldBytes, 4 * requestBytes + 3 * piece.length);
  second.arrival.add(piece);
  assert.equal(budget.heldBytes, 4 * requestBytes + 3 * piece.length);
});

test('counts the requests of bodies that never come, and leaves the other half to those without', () => {
  const budget = new Budget(20 * requestBytes);
  const silent = Array.from({ length: 15 }, () => arrive(budget));
  const refused = silent.filter(({ refusals }) => refusals.length > 0);
  assert.equal(refused.length, 5);
  assert.deepEqual(refused, silent.slice(0, 5));
});

test('refuses a body that grows where others hold the rest, and no other for it', () => {
  const budget = new Budget(mebibyte);
  const [quiet, growing] = [arrive(budget), arrive(budget)];
  quiet.arrival.add(Buffer.alloc(1_024));
  assert.ok(budget.take(mebibyte - budget.heldBytes));
  growing.arrival.add(Buffer.alloc(1_024));
  assert.deepEqual([quiet.refusals.length, growing.refusals.length], [0, 1]);
});

test('a body that has arrived is held until it is released, and is not refused any longer', () => {
  const budget = new Budget(mebibyte);
  const { arrival, refusals } = arrive(budget);
  arrival.add(Buffer.alloc(200 * 1024));
  arrival.end();
  budget.refuseArrivals({} as ApiError);
  for (let other = 0; other < 5; other++) arrive(budget).arrival.add(Buffer.alloc(200 * 1024));
  assert.deepEqual(refusals, []);
  assert.ok(budget.heldBytes > 200 * 1024);
  arrival.release();
  arrival.release();
  budget.refuseArrivals({} as ApiError);
  assert.equal(budget.heldBytes, 6 * requestBytes);
});
