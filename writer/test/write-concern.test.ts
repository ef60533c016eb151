import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createWrites, type Write } from '@assessment/api/envelope';
import { createMongoClient, openDatabase } from '@assessment/api/mongo';
import { names } from '@assessment/api/names';
import { readModelCollection } from '@assessment/api/read-model';
import type { Document } from 'mongodb';
import { watchMongoDb } from '../../test/mongodb-commands.ts';
import { type MongoDb, startMongoDb } from '../../test/parts.ts';
import { needs } from '../../test/programs.ts';
import { until } from '../../test/until.ts';
import { createBulkWriter } from '../src/bulk-writer.ts';
import { createCircuitBreaker } from '../src/circuit-breaker.ts';
import { createReadModelUpdater } from '../src/read-model.ts';

/** Options of MONGODB_URI, and the write concern that MongoDB is sent with them. */
const cases: [string, Document][] = [
  ['', { w: 'majority', j: true }],
  ['w=majority', { w: 'majority', j: true }],
  ['w=1', { w: 1, j: true }],
  ['journal=false', { w: 'majority', j: false }],
  ['wtimeoutMS=2500', { w: 'majority', j: true, wtimeout: 2500 }],
  ['w=2&wtimeoutMS=1500&journal=true', { w: 2, j: true, wtimeout: 1500 }],
];

describe('write concern', needs('mongodb'), () => {
  let mongoDb: MongoDb;
  before(async () => {
    mongoDb = await startMongoDb();
  });
  after(() => mongoDb.stop());

  for (const [options, expected] of cases) {
    const said = options === '' ? 'without options' : `with ${options}`;
    test(`MONGODB_URI ${said}: a batch and the read model are written with ${JSON.stringify(expected)}`, async () => {
      await using watched = await watchMongoDb(mongoDb, options);
      await using client = createMongoClient(watched.uri, { appName: 'test', poolSizeMax: 2 });
      const database = openDatabase(client, watched.uri);
      const stopping = new AbortController();
      const bulkWriter = createBulkWriter(database.collection<Write>(names.collection), {
        concurrency: 2,
        breaker: createCircuitBreaker({ refusedMax: 100 }),
        signal: stopping.signal,
      });
      const readModel = createReadModelUpdater(readModelCollection(database), { run: bulkWriter.run });
      const writes = createWrites(new Date());
      // What becomes of it is not asked: a single node takes no `w: 2`.
      const settled = Promise.allSettled([bulkWriter.store(writes), readModel.stored(writes, writes.length)]);
      for (const name of ['insert', 'update']) {
        const command = await until(
          () => watched.commands.find((sent) => name in sent),
          (sent) => sent !== undefined,
        );
        assert.deepEqual(command?.writeConcern, expected, name);
      }
      stopping.abort();
      await settled;
      await readModel.close();
    });
  }

  test('a single node takes majority, which is what nobody has to ask for', async () => {
    await using client = createMongoClient(mongoDb.uri, { appName: 'test', poolSizeMax: 1 });
    const records = openDatabase(client, mongoDb.uri).collection<Write>(names.collection);
    const bulkWriter = createBulkWriter(records, {
      concurrency: 1,
      breaker: createCircuitBreaker({ refusedMax: 100 }),
      signal: AbortSignal.timeout(60_000),
    });
    const writes = createWrites(new Date());
    assert.deepEqual((await bulkWriter.store(writes)).refusals, []);
    assert.equal(await records.countDocuments({ _id: { $in: writes.map(({ _id }) => _id) } }), writes.length);
  });
});
