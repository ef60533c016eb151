import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger } from '../src/log.ts';
import { createReadiness } from '../src/readiness.ts';

test('two rounds of the dashboard get an answer each, and whoever asks in between shares one', async (context) => {
  let now = 0;
  let asked = 0;
  context.mock.method(performance, 'now', () => now);
  const run = async () => {
    asked++;
  };
  const readiness = createReadiness([{ name: 'MongoDB', run }], createLogger('test', 'silent'));
  await readiness.states();
  now += 499;
  await readiness.states();
  assert.equal(asked, 1);
  // A timer of Node fires up to a millisecond early, beside a clock that has fractions.
  now = 999;
  await readiness.states();
  assert.equal(asked, 2);
});
