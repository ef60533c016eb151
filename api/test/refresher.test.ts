import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRefresher } from '../src/refresher.ts';

/** A source whose round trips and loads take as long as the test says, and a clock that only they move. */
function createSource() {
  let nowMs = 1_000;
  let pauseMs = 0;
  let wake = () => {};
  let paused = Promise.withResolvers<void>();
  const source = { roundTripMs: 0, loadMs: 0, loads: 0, isAway: false };
  return {
    source,
    clock: {
      now: () => nowMs,
      setTimeout(callback: () => void, delayMs: number) {
        pauseMs = delayMs;
        wake = callback;
        paused.resolve();
        return undefined as unknown as NodeJS.Timeout;
      },
    },
    async roundTrip() {
      nowMs += source.roundTripMs;
    },
    async load() {
      nowMs += source.loadMs;
      if (source.isAway) throw new Error('away');
      return ++source.loads;
    },
    /** How long the refresher pauses after the load that is under way. */
    async pause() {
      await paused.promise;
      return pauseMs;
    },
    next() {
      paused = Promise.withResolvers();
      nowMs += pauseMs;
      wake();
    },
  };
}

const rule = { intervalMs: 800, timeShareMax: 0.05, roundTripsPerLoad: 2 };

test('starts a load each interval while loads are quick', async () => {
  const { source, ...parts } = createSource();
  Object.assign(source, { roundTripMs: 1, loadMs: 12 });
  const refresher = createRefresher({ ...rule, ...parts });
  assert.equal(refresher.value(), undefined);
  assert.equal(refresher.ageSeconds(), undefined);
  assert.equal(await parts.pause(), 800 - 13);
  assert.equal(refresher.value(), 1);
  assert.equal(refresher.ageSeconds(), 0.012);
  parts.next();
  assert.equal(await parts.pause(), 800 - 13);
  assert.equal(refresher.value(), 2);
});

test('loads less often when the source is slow, so that it works a twentieth of the time', async () => {
  const { source, ...parts } = createSource();
  Object.assign(source, { roundTripMs: 0, loadMs: 100 });
  createRefresher({ ...rule, ...parts });
  assert.equal(await parts.pause(), 2_000 - 100);
});

test('does not count as the source’s work what an empty round trip takes as well', async () => {
  const { source, ...parts } = createSource();
  Object.assign(source, { roundTripMs: 100, loadMs: 210 });
  createRefresher({ ...rule, ...parts });
  assert.equal(await parts.pause(), 800 - 310);
});

test('serves the last value while the source is away, older and older, and the new one when it is back', async () => {
  const { source, ...parts } = createSource();
  const errors: unknown[] = [];
  const refresher = createRefresher({ ...rule, ...parts, onFailed: (error) => errors.push(error) });
  await parts.pause();
  source.isAway = true;
  parts.next();
  assert.equal(await parts.pause(), 800);
  assert.equal(refresher.value(), 1);
  assert.equal(refresher.ageSeconds(), 0.8);
  assert.equal(errors.length, 1);
  source.isAway = false;
  parts.next();
  await parts.pause();
  assert.equal(refresher.value(), 2);
});
