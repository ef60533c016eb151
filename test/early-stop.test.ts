import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startApi, startEmulator, startMongoDb, startWriter } from './parts.ts';
import { needs } from './programs.ts';

test('a service that is stopped as soon as it says that it is ready drains', needs('mongodb'), async () => {
  await using mongoDb = await startMongoDb();
  await using broker = await startEmulator();
  for (const start of [
    startEmulator,
    () => startApi({ mongoDb, broker }),
    () => startWriter({ mongoDb, broker }),
  ]) {
    await using service = await start();
    await service.stop();
    assert.equal(await service.exited(), 0, service.output());
  }
});
