import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startEmulator, startMongoDb, startWriter } from '../../test/parts.ts';
import { needs } from '../../test/programs.ts';
import { request } from '../../test/requests.ts';

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
