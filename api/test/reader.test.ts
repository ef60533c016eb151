import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ObjectId } from 'mongodb';
import { type WatchedMongoDb, watchMongoDb } from '../../test/mongodb-commands.ts';
import { type MongoDb, startMongoDb } from '../../test/parts.ts';
import { needs } from '../../test/programs.ts';
import { until } from '../../test/until.ts';
import { createWrites, type Write } from '../src/envelope.ts';
import { createMongoClient, openDatabase } from '../src/mongo.ts';
import { names } from '../src/names.ts';
import { createReader } from '../src/reader.ts';

/** Longer than any stated time, and far shorter than what a wait without a limit takes. */
const patienceMs = 8_000;

describe('reader', needs('mongodb'), () => {
  let mongoDb: MongoDb;
  let watched: WatchedMongoDb;
  const writes: Write[] = [];

  before(async () => {
    mongoDb = await startMongoDb();
    watched = await watchMongoDb(mongoDb);
    while (writes.length < 1_000) writes.push(...createWrites(new Date()));
    await using client = createMongoClient(mongoDb.uri, { appName: 'test', poolSizeMax: 1 });
    await openDatabase(client, mongoDb.uri).collection<Write>(names.collection).insertMany(writes);
  });
  after(async () => {
    await watched[Symbol.asyncDispose]();
    await mongoDb.stop();
  });

  /** As the api opens it. */
  function open(poolSizeMax = 3) {
    const client = createMongoClient(watched.uri, { appName: 'test', poolSizeMax });
    const database = openDatabase(client, watched.uri);
    const reader = createReader(database, { concurrency: 2 });
    return {
      reader,
      database,
      async [Symbol.asyncDispose]() {
        await reader.close();
        await client.close();
      },
    };
  }

  const finds = () => watched.commands.filter(isLookUp).length;
  const isLookUp = (command: Record<string, unknown>) =>
    command.find === names.collection && command.projection === undefined;

  test('answers 1,000 look-ups of one moment, 20 ms from MongoDB, with ten operations', async () => {
    await using opened = open();
    const { reader } = opened;
    await until(reader.isAnswering);
    watched.link.slow(20);
    const before = finds();
    const unknown = new ObjectId();
    const [missing, ...found] = await Promise.all(
      [unknown, ...writes.map(({ _id }) => _id)].map(reader.findRecord),
    );
    watched.link.open();
    assert.equal(missing, null);
    assert.deepEqual(found, writes);
    assert.equal(finds() - before, 11);
  });

  test('finds the stored ones among ids, in their order, and asks once for an id that is asked for twice', async () => {
    await using opened = open();
    const { reader } = opened;
    await until(reader.isAnswering);
    const before = watched.commands.length;
    const some = writes.slice(0, 5).reverse();
    const ids = some.map(({ _id }) => _id);
    const [first, second] = await Promise.all([
      reader.findRecords([new ObjectId(), ...ids]),
      reader.findRecords(ids),
    ]);
    assert.deepEqual(first, some);
    assert.deepEqual(second, some);
    const asked = watched.commands.slice(before).filter(isLookUp);
    assert.deepEqual(
      asked.map(({ filter }) => filter._id.$in.length),
      [6],
    );
    assert.deepEqual(await reader.findRecords([]), []);
  });

  test('reads what does not fit into one reply of MongoDB', async () => {
    await using opened = open();
    const { reader, database } = opened;
    const documents = Array.from({ length: 20 }, () => ({
      _id: new ObjectId(),
      filling: Buffer.alloc(1_500_000),
    }));
    const large = database.collection<{ _id: ObjectId; filling: Buffer }>(names.collection);
    for (const document of documents) await large.insertOne(document);
    const found = await reader.findRecords(documents.map(({ _id }) => _id));
    assert.deepEqual(
      found.map(({ _id }) => _id),
      documents.map(({ _id }) => _id),
    );
  });

  test('ends a look-up that MongoDB never answers, and finds it when MongoDB answers again', async () => {
    await using opened = open(2);
    const { reader } = opened;
    await until(reader.isAnswering);
    watched.isHeldBack = isLookUp;
    const id = writes[0]?._id ?? new ObjectId();
    // As often as the pool has connections, of which the cache needs one.
    for (let count = 0; count < 2; count++) {
      const asked = performance.now();
      await assert.rejects(reader.findRecord(id), { code: 'database_unavailable' });
      assert.ok(performance.now() - asked < patienceMs);
    }
    assert.equal(reader.isAnswering(), true);
    watched.isHeldBack = () => false;
    assert.deepEqual(await reader.findRecord(id), writes[0]);
  });

  test('tells of an overload while MongoDB answers, and of an outage while it does not', async (context) => {
    await using opened = open();
    const { reader } = opened;
    await until(reader.isAnswering);
    const ids = Array.from({ length: 10_000 }, () => new ObjectId());
    const atLimit = reader.findRecords(ids);
    await assert.rejects(reader.findRecord(new ObjectId()), { code: 'overloaded' });
    assert.deepEqual(await atLimit, []);

    // 300 ms each way: three operations in the 2 s, and 10,000 ids need a hundred.
    watched.link.slow(300);
    await assert.rejects(reader.findRecords(ids), { code: 'overloaded' });
    watched.link.open();

    mongoDb.pause();
    context.after(() => mongoDb.resume());
    await assert.rejects(reader.findRecords(ids), { code: 'database_unavailable' });
    await until(reader.isAnswering, (isAnswering) => !isAnswering);
    mongoDb.resume();
    await until(reader.isAnswering);
    await until(() => reader.findRecord(writes[0]?._id ?? new ObjectId()).catch(() => null));
  });
});
