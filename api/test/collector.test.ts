import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Registry } from 'prom-client';
import { createCollector } from '../src/dashboard/collector.ts';
import type { Frame } from '../src/dashboard/frame.ts';
import { createLogger } from '../src/log.ts';
import { createReadiness } from '../src/readiness.ts';

test('a fault in one round of questions costs its frame and nothing else', async (context) => {
  const logger = createLogger('test', 'silent');
  const { promise: shown, resolve: onFrame } = Promise.withResolvers<Frame>();
  let rounds = 0;
  const collector = createCollector({
    registry: new Registry(),
    readiness: createReadiness([], logger),
    hosts: { api: undefined, writer: undefined, emulator: undefined },
    mongoDbStatus: async () => ({ residentBytes: null, readTickets: null, writeTickets: null }),
    documents() {
      rounds++;
      if (rounds === 1) throw new Error('a fault');
      return rounds;
    },
    burst: () => null,
    onFrame,
    logger,
  });
  context.after(() => collector.stop());
  collector.start();
  assert.equal((await shown).stored.documents, 2);
});
