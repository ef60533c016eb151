import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createRecord, createWrites, type Write } from '@assessment/api/envelope';
import { createMongoClient, openDatabase } from '@assessment/api/mongo';
import { names } from '@assessment/api/names';
import { type Collection, type Db, type MongoClient, ObjectId } from 'mongodb';
import { createMongoDbLink } from '../../stress-test/chaos/mongodb-link.ts';
import { type MongoDb, startMongoDb } from '../../test/parts.ts';
import { needs } from '../../test/programs.ts';
import { until } from '../../test/until.ts';
import { Abandoned } from '../src/abandoned.ts';
import { type BulkWriterOptions, createBulkWriter } from '../src/bulk-writer.ts';
import { createCircuitBreaker } from '../src/circuit-breaker.ts';
import { unknownRefusalTriesMax } from '../src/refusals.ts';
import type { Outcome, Refusal } from '../src/round.ts';

describe('bulk writer', needs('mongodb'), () => {
  let mongoDb: MongoDb;
  let client: MongoClient;
  let database: Db;

  before(async () => {
    mongoDb = await startMongoDb();
    client = createMongoClient(mongoDb.uri, { appName: 'test', poolSizeMax: 10 });
    database = openDatabase(client, mongoDb.uri);
  });
  after(async () => {
    await client.close();
    await mongoDb.stop();
  });

  async function createCollection(options = {}): Promise<Collection<Write>> {
    return database.createCollection<Write>(`records_${new ObjectId().toHexString()}`, options);
  }

  function open(records: Collection<Write>, options: Partial<BulkWriterOptions> = {}) {
    const breaker = createCircuitBreaker({ refusedMax: 200 });
    const { signal } = new AbortController();
    return createBulkWriter(records, { concurrency: 2, breaker, signal, ...options });
  }

  /** Of writes of which none is held. */
  async function refusalsOf(outcome: Promise<Outcome>): Promise<Refusal[]> {
    const { refusals, held } = await outcome;
    assert.deepEqual(held, []);
    return refusals;
  }

  test('stores every write as the contract has it', async () => {
    const records = await createCollection();
    const writes = createWrites(new Date());
    assert.deepEqual(await refusalsOf(open(records).store(writes)), []);
    const stored = await records.find({ _id: { $in: writes.map(({ _id }) => _id) } }).toArray();
    assert.deepEqual(
      stored.sort((a, b) => a._id.toHexString().localeCompare(b._id.toHexString())),
      writes,
    );
  });

  test('counts a write that is there already as stored, and leaves it as it is', async () => {
    const records = await createCollection();
    const writes = createWrites(new Date());
    const inserted: number[] = [];
    const bulkWriter = open(records, { onStored: ({ insertedCount }) => inserted.push(insertedCount) });
    await bulkWriter.store(writes.slice(0, 2));
    assert.deepEqual(await refusalsOf(bulkWriter.store(writes)), []);
    assert.deepEqual(inserted, [2, 3]);
    assert.equal(await records.countDocuments({}), 5);
  });

  test('reports a write that MongoDB refuses for its content and stores the others of the batch', async () => {
    const records = await createCollection({
      validator: { $jsonSchema: { properties: { index: { maximum: 3 } } } },
    });
    const writes = createWrites(new Date());
    const refusals = await refusalsOf(open(records).store(writes));
    assert.deepEqual(
      refusals.map(({ write }) => write),
      [writes[4]],
    );
    assert.match(refusals[0]?.reason ?? '', /MongoDB error 121: /);
    assert.equal(await records.countDocuments({}), 4);
  });

  test('takes a duplicate of another unique key than _id for a refusal, not for a redelivery', async () => {
    const records = await createCollection();
    await records.createIndex({ payload: 1 }, { unique: true });
    const [first, second] = createWrites(new Date());
    assert.ok(first?.type === 'write' && second?.type === 'write');
    second.payload = first.payload;
    const refusals = await refusalsOf(open(records).store([first, second]));
    assert.deepEqual(
      refusals.map(({ write }) => write),
      [second],
    );
    assert.match(refusals[0]?.reason ?? '', /MongoDB error 11000: /);
  });

  test("outlasts MongoDB's own troubles, and gives up on a write with any other error", async () => {
    const ofTheServer = [1, 8, 13, 18, 26, 134, 365, 371, 391, 402, 462, 8000, 12501, 13388];
    const ofTheWrite = 96; // OperationFailed: one of thousands that are in no list
    const batches = new Map([...ofTheServer, ofTheWrite].map((code) => [code, createWrites(new Date())]));
    const tries = new Map<number, number>();
    const link = await createMongoDbLink(Number(new URL(mongoDb.uri).port));
    link.treatInserts((ids) => {
      const [code = 0] = [...batches].find(([, [first]]) => first?._id.equals(ids[0])) ?? [];
      const count = (tries.get(code) ?? 0) + 1;
      tries.set(code, count);
      if (count > unknownRefusalTriesMax) return undefined;
      const writeErrors = ids.map((_, index) => ({ index, code, errmsg: 'refused' }));
      return { isForwarded: false, reply: () => ({ ok: 1, n: 0, writeErrors }) };
    });
    const uri = mongoDb.uri.replace(/:\d+/, `:${link.port}`);
    const linked = createMongoClient(uri, { appName: 'test', poolSizeMax: batches.size });
    const stopping = new AbortController();
    try {
      const bulkWriter = open(openDatabase(linked, uri).collection<Write>(names.collection), {
        concurrency: batches.size,
        signal: stopping.signal,
      });
      await Promise.all(
        [...batches].map(async ([code, writes]) => {
          const reason = `MongoDB error ${code}: refused`;
          const expected = code === ofTheWrite ? writes.map((write) => ({ write, reason })) : [];
          assert.deepEqual(await refusalsOf(bulkWriter.store(writes)), expected, String(code));
        }),
      );
    } finally {
      stopping.abort();
      await linked.close();
      await link.close();
    }
  });

  test('isolates a write that the driver refuses to send', async () => {
    const records = await createCollection();
    const cyclic: Record<string, unknown> = {};
    cyclic.self = cyclic;
    const poison = createRecord(cyclic, new Date());
    const writes = [...createWrites(new Date()), poison, ...createWrites(new Date())];
    const refusals = await refusalsOf(open(records).store(writes));
    assert.deepEqual(
      refusals.map(({ write }) => write),
      [poison],
    );
    assert.equal(await records.countDocuments({}), 10);
  });

  test('keeps trying while MongoDB is away, within its bound of operations, and stores when it is back', async () => {
    const records = await createCollection();
    const retried = Promise.withResolvers<void>();
    const bulkWriter = open(records, { concurrency: 1, onRetry: () => retried.resolve() });
    await mongoDb.kill();
    const batches = [createWrites(new Date()), createWrites(new Date())];
    const stored = Promise.all(batches.map((writes) => refusalsOf(bulkWriter.store(writes))));
    await retried.promise;
    assert.deepEqual(bulkWriter.operations(), { active: 0, waiting: 1 });
    await mongoDb.restart();
    assert.deepEqual(await stored, [[], []]);
    assert.equal(await records.countDocuments({}), 10);
  });

  test('abandons what is not stored when the process has to stop', async () => {
    const records = await createCollection();
    const stopping = new AbortController();
    const bulkWriter = open(records, { signal: stopping.signal, onRetry: () => stopping.abort() });
    await mongoDb.kill();
    await assert.rejects(bulkWriter.store(createWrites(new Date())), Abandoned);
    await mongoDb.restart();
  });

  test('abandons what MongoDB does not answer when the process has to stop', async (context) => {
    const records = await createCollection();
    const stopping = new AbortController();
    const bulkWriter = open(records, { signal: stopping.signal });
    mongoDb.pause();
    context.after(() => mongoDb.resume());
    const asked = [bulkWriter.store(createWrites(new Date())), bulkWriter.run(() => records.findOne({}))];
    await until(bulkWriter.operations, ({ active }) => active === 2);
    stopping.abort();
    for (const promise of asked) await assert.rejects(promise, Abandoned);
    await assert.rejects(
      bulkWriter.run(() => records.findOne({})),
      Abandoned,
    );
    assert.deepEqual(bulkWriter.operations(), { active: 0, waiting: 0 });
  });
});
