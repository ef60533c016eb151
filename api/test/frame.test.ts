import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createFrame } from '../src/dashboard/frame.ts';
import { growth, readRegistry } from '../src/dashboard/samples.ts';
import { wanted } from '../src/dashboard/wanted-metrics.ts';
import { createMetrics } from '../src/metrics.ts';

const untold = { now: new Map(), grown: undefined };
const mongodb = { residentBytes: null, readTickets: null, writeTickets: null };

test('a frame has all requests that arrived, and the refusals that came, and none of those that did not', async () => {
  const metrics = createMetrics();
  const before = await readRegistry(metrics.registry, wanted.api);
  metrics.requests.inc(5);
  metrics.refused.inc({ code: 'not_found' });
  metrics.refused.inc({ code: 'overloaded' }, 4);
  const now = await readRegistry(metrics.registry, wanted.api);
  const api = { now, grown: growth(before, now) };
  const parts = { api, writer: untold, emulator: new Map() };
  const others = { documents: null, mongodb, burst: null };
  const { refused, requests } = createFrame({ at: 0, seconds: 2, ...parts, ...others });
  assert.deepEqual(refused, [
    { code: 'overloaded', total: 4, rate: 2 },
    { code: 'not_found', total: 1, rate: 0.5 },
  ]);
  assert.equal(requests.rate, 2.5);
});
