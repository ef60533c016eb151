import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startEmulator, startMongoDb, startWriter } from '../../test/parts.ts';
import { needs } from '../../test/programs.ts';
import { request } from '../../test/requests.ts';
import { until } from '../../test/until.ts';

test('the port of the writer refuses in the shape of every error', needs('mongodb'), async () => {
  await using mongoDb = await startMongoDb();
  await using broker = await startEmulator();
  await using writer = await startWriter({ mongoDb, broker });
  const unknown = await request(`${writer.url}/api/data`);
  assert.deepEqual([unknown.status, unknown.body.code], [404, 'not_found']);
  const posted = await request(`${writer.url}/metrics`, { method: 'POST' });
  assert.deepEqual([posted.status, posted.body.code], [405, 'method_not_allowed']);
  assert.equal(posted.headers.get('allow'), 'GET, HEAD');
  assert.equal((await request(`${writer.url}/%E0%A4%A`)).status, 404);
});

test('is not ready while the broker is away, and is again when it is back', needs('mongodb'), async () => {
  await using mongoDb = await startMongoDb();
  await using broker = await startEmulator();
  await using writer = await startWriter({ mongoDb, broker });
  const untilReady = (status: number) =>
    until(
      () => request(`${writer.url}/readyz`),
      (answer) => answer.status === status,
    );
  await untilReady(200);
  await broker.kill();
  assert.equal((await untilReady(503)).body.error, 'Pub/Sub is not answering');
  await broker.restart();
  await untilReady(200);
});
