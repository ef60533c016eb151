import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { createRecord, createWrites, type Write } from '@assessment/api/envelope';
import { createMongoClient, openDatabase } from '@assessment/api/mongo';
import { names } from '@assessment/api/names';
import type { Collection, Db, Document, MongoClient } from 'mongodb';
import { createMongoDbLink, type MongoDbLink } from '../../stress-test/chaos/mongodb-link.ts';
import { type MongoDb, startMongoDb } from '../../test/parts.ts';
import { needs } from '../../test/programs.ts';
import { type BulkWriter, createBulkWriter } from '../src/bulk-writer.ts';
import { type CircuitBreaker, createCircuitBreaker } from '../src/circuit-breaker.ts';

const refusedMax = 200;
const { signal } = new AbortController();

const records = (count: number, document: Record<string, unknown> = {}): Write[] =>
  Array.from({ length: count }, () => createRecord({ ...document }, new Date()));

describe('circuit breaker', needs('mongodb'), () => {
  let mongoDb: MongoDb;
  let link: MongoDbLink;
  let client: MongoClient;
  let database: Db;
  let collection: Collection<Write>;
  let breaker: CircuitBreaker;
  let bulkWriter: BulkWriter;
  let opened: [number, string][];
  let closedCount: number;

  before(async () => {
    mongoDb = await startMongoDb();
    link = await createMongoDbLink(Number(new URL(mongoDb.uri).port));
    const uri = mongoDb.uri.replace(/:\d+/, `:${link.port}`);
    client = createMongoClient(uri, { appName: 'test', poolSizeMax: 4 });
    database = openDatabase(client, uri);
  });
  after(async () => {
    await client.close();
    await link.close();
    await mongoDb.stop();
  });
  beforeEach(async () => {
    collection = await database.createCollection<Write>(names.collection);
    opened = [];
    closedCount = 0;
    breaker = createCircuitBreaker({
      refusedMax,
      onOpened: (count, cause) => opened.push([count, cause]),
      onClosed: () => closedCount++,
    });
    bulkWriter = createBulkWriter(collection, { concurrency: 2, breaker, signal });
  });
  afterEach(async () => {
    link.treatInserts(undefined);
    await collection.drop();
  });

  const validate = (validator: Document) => database.command({ collMod: names.collection, validator });

  /** Answers every insert in MongoDB's place. */
  function answerInserts(reply: Document): { count: number } {
    const commands = { count: 0 };
    link.treatInserts(() => {
      commands.count++;
      return { isForwarded: false, reply: () => reply };
    });
    return commands;
  }

  test('believes refusals below its number, and holds what is refused at it', async () => {
    await validate({ type: 'nothing' });
    const below = await bulkWriter.store(records(refusedMax - 1));
    assert.equal(below.refusals.length, refusedMax - 1);
    assert.ok(!breaker.isOpen());
    const at = await bulkWriter.store(records(1));
    assert.deepEqual([at.refusals.length, at.held.length], [0, 1]);
    assert.deepEqual(opened, [[refusedMax, 'MongoDB error 121']]);
  });

  test('counts from nothing again when a document is stored in between', async () => {
    await validate({ 'document.good': true });
    for (let round = 0; round < 2; round++) {
      const { refusals, held } = await bulkWriter.store([
        ...records(refusedMax - 1),
        ...records(1, { good: true }),
        ...records(refusedMax - 1),
      ]);
      assert.deepEqual([refusals.length, held.length], [2 * (refusedMax - 1), 0]);
      await bulkWriter.store(records(1, { good: true }));
    }
    assert.deepEqual(opened, []);
  });

  test('a validator that refuses everything costs no dead letter, and without it all is stored', async () => {
    await validate({ type: 'nothing' });
    const writes = records(1_000);
    const outcome = await bulkWriter.store(writes);
    assert.deepEqual([outcome.refusals, outcome.held], [[], writes]);
    assert.deepEqual((await bulkWriter.store(records(5))).refusals, []);
    await validate({});
    await breaker.untilNextTry(signal);
    assert.deepEqual((await bulkWriter.store(outcome.held, outcome.heldSince)).held, []);
    assert.deepEqual([breaker.isOpen(), opened.length, closedCount], [false, 1, 1]);
    assert.equal(await collection.countDocuments({}), writes.length);
  });

  test('what was held is refused when it is refused again after another document was stored', async () => {
    await validate({ 'document.good': true });
    const { held, heldSince } = await bulkWriter.store(records(refusedMax));
    assert.equal(held.length, refusedMax);
    const waiting = breaker.untilNextTry(signal);
    assert.deepEqual((await bulkWriter.store(createRecords())).held, []);
    await waiting;
    const again = await bulkWriter.store(held, heldSince);
    assert.deepEqual([again.refusals.length, again.held.length], [refusedMax, 0]);
    assert.deepEqual([breaker.isOpen(), opened.length, closedCount], [false, 1, 1]);
  });

  const createRecords = () => records(3, { good: true });

  test('one bad option costs 20 commands and no dead letter, and without it all is stored', async () => {
    const commands = answerInserts({ ok: 0, code: 2, codeName: 'BadValue', errmsg: 'bad option' });
    const writes = Array.from({ length: 400 }, () => createWrites(new Date())).flat();
    const outcome = await bulkWriter.store(writes);
    assert.deepEqual([outcome.refusals, outcome.held.length], [[], writes.length]);
    assert.deepEqual(opened, [[writes.length, 'MongoDB error 2']]);
    assert.ok(commands.count <= 20, `${commands.count} commands`);
    link.treatInserts(undefined);
    const again = await bulkWriter.store(outcome.held, outcome.heldSince);
    assert.deepEqual([again.refusals, again.held], [[], []]);
    assert.equal(await collection.countDocuments({}), writes.length);
  });

  test('a command that is not supported is not tried for ever', async () => {
    answerInserts({ ok: 0, code: 166, codeName: 'CommandNotSupportedOnView', errmsg: 'a view' });
    const outcome = await bulkWriter.store(records(refusedMax));
    assert.deepEqual([outcome.refusals.length, outcome.held.length], [0, refusedMax]);
    assert.deepEqual(opened, [[refusedMax, 'MongoDB error 166']]);
  });

  test('documents that a whole command is refused for are found among thousands', async () => {
    const cyclic: Record<string, unknown> = {};
    cyclic.self = cyclic;
    const poison = [createRecord(cyclic, new Date()), createRecord(cyclic, new Date())];
    const writes = [...records(700), ...poison.slice(0, 1), ...records(700), ...poison.slice(1)];
    const { refusals, held } = await bulkWriter.store(writes);
    assert.deepEqual(held, []);
    assert.deepEqual(new Set(refusals.map(({ write }) => write)), new Set(poison));
    assert.equal(await collection.countDocuments({}), 1_400);
    assert.deepEqual(opened, []);
  });

  test('one of those that wait is tried after a pause, and all of them once a document is stored', async () => {
    answerInserts({ ok: 1, n: 0, writeErrors: [{ index: 0, code: 121, errmsg: 'no' }] });
    for (let count = 0; count < refusedMax; count++) await bulkWriter.store(records(1));
    assert.ok(breaker.isOpen());
    const turns: number[] = [];
    const waiting = [0, 1, 2].map((place) => breaker.untilNextTry(signal).then(() => turns.push(place)));
    await Promise.race(waiting);
    assert.deepEqual(turns, [0]);
    link.treatInserts(undefined);
    await bulkWriter.store(records(1));
    await Promise.all(waiting);
  });
});
