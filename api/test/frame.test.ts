import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createFrame, wanted } from '../src/dashboard/frame.ts';
import { growth, readRegistry } from '../src/dashboard/samples.ts';
import { createMetrics } from '../src/metrics.ts';

const unknown = { now: new Map(), grown: undefined };
const mongodb = { residentBytes: null, readTickets: null, writeTickets: null };

test('a frame has the refusals that came, by how many they are, and none of those that did not', async () => {
  const metrics = createMetrics();
  const before = await readRegistry(metrics.registry, wanted.api);
  metrics.refused.inc({ code: 'not_found' });
  metrics.refused.inc({ code: 'overloaded' }, 4);
  const now = await readRegistry(metrics.registry, wanted.api);
  const api = { now, grown: growth(before, now) };
  const parts = { api, writer: unknown, emulator: unknown };
  const { refused } = createFrame({ at: 0, seconds: 2, ...parts, documents: null, mongodb, burst: null });
  assert.deepEqual(refused, [
    { code: 'overloaded', total: 4, rate: 2 },
    { code: 'not_found', total: 1, rate: 0.5 },
  ]);
});
