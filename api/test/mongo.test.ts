import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startMongoDb } from '../../test/parts.ts';
import { needs } from '../../test/programs.ts';
import { until } from '../../test/until.ts';
import { createMongoClient, openDatabase } from '../src/mongo.ts';

test('reaches a MongoDB that was away when it was first asked', needs('mongodb'), async () => {
  await using mongoDb = await startMongoDb();
  await mongoDb.stop();
  await using client = createMongoClient(mongoDb.uri, { appName: 'test', poolSizeMax: 1 });
  const database = openDatabase(client, mongoDb.uri);
  const isAnswering = () => database.command({ ping: 1 }).then(Boolean, () => false);
  assert.equal(await isAnswering(), false);
  await mongoDb.restart();
  await until(isAnswering);
});

test('leaves retries to its callers, unless the URI asks the driver for them', () => {
  for (const [options, writes, reads] of [
    ['', false, false],
    ['?retryWrites=true', true, false],
    ['?retryReads=true&retryWrites=false', false, true],
  ] as const) {
    const { retryWrites, retryReads } = createMongoClient(`mongodb://127.0.0.1:27017/${options}`, {
      appName: 'test',
      poolSizeMax: 1,
    }).options;
    assert.deepEqual([retryWrites, retryReads], [writes, reads], options);
  }
});
