import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readMetric } from '../../stress-test/metric.ts';
import { startWriter } from '../../test/parts.ts';
import { needs } from '../../test/programs.ts';
import { request } from '../../test/requests.ts';
import { startSystem } from '../../test/system.ts';
import { until } from '../../test/until.ts';

test('a drain does not wait for a MongoDB that does not answer, and what it gives back is stored by another', {
  ...needs('mongodb'),
}, async (context) => {
  const system = await startSystem();
  context.after(() => system.stop());
  const { mongoDb } = system;
  await system.writer.stop();
  await using writer = await startWriter({ ...system, env: { DRAIN_TIMEOUT_MS: '3000' } });
  mongoDb.pause();
  context.after(() => mongoDb.resume());
  const { body } = await request(`${system.api.url}/api/data`);
  await until(
    () => readMetric(writer.url, 'writer_mongodb_operations'),
    (operations) => operations === 1,
  );
  await writer.stop();
  assert.equal(await writer.exited(), 0, writer.output());
  mongoDb.resume();
  await system.writer.restart();
  await until(
    () => request(`${system.api.url}/api/records/${body.writes[0]}`),
    ({ status }) => status === 200,
  );
});
