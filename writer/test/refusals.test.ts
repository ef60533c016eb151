import assert from 'node:assert/strict';
import dns from 'node:dns';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { createRecord, createWrites, type Write } from '@assessment/api/envelope';
import { keyedIds } from '@assessment/api/idempotency-key';
import { createMongoClient, openDatabase } from '@assessment/api/mongo';
import { names } from '@assessment/api/names';
import type { Collection, Document, MongoClient } from 'mongodb';
import { createMongoDbLink, type MongoDbLink } from '../../stress-test/chaos/mongodb-link.ts';
import { type MongoDb, startMongoDb } from '../../test/parts.ts';
import { needs } from '../../test/programs.ts';
import { Abandoned } from '../src/abandoned.ts';
import { type BulkWriter, createBulkWriter } from '../src/bulk-writer.ts';
import { createCircuitBreaker } from '../src/circuit-breaker.ts';
import { isDuplicateId, unknownRefusalTriesMax } from '../src/refusals.ts';

const reusedKey = 'the Idempotency-Key of this document was used before with another body';

test('takes the texts of MongoDB for a duplicate of _id, and no other', () => {
  const texts = new Map([
    ["E11000 duplicate key error collection: a.records index: _id_ dup key: { _id: ObjectId('1') }", true],
    ['E11000 duplicate key error collection: a.records index: _id_ collation: {} dup key: { _id: 1 }', true],
    ['E11000 duplicate key error collection: a.records index: _id_', true],
    ['E11000 duplicate key error index: a.records.$_id_ dup key: { : 1 }', true],
    [
      'E11000 duplicate key error collection: a.records index: email_1 dup key: { email: "a index: _id_ " }',
      false,
    ],
    ['E11000 duplicate key error collection: a.records index: _id_1_type_1 dup key: { _id: 1 }', false],
    ['E11000 duplicate key error collection: a.records Failed _id or unique key constraint', false],
    ['E11000 duplicate key error collection: a.records. Failed _id or unique index constraint.', false],
    ['', false],
  ]);
  for (const [text, isOfId] of texts) assert.equal(isDuplicateId(text), isOfId, text);
});

describe('refusals', needs('mongodb'), () => {
  let mongoDb: MongoDb;
  let link: MongoDbLink;
  let client: MongoClient;
  let collection: Collection<Write>;
  let bulkWriter: BulkWriter;
  let retries: number;

  before(async () => {
    mongoDb = await startMongoDb();
    link = await createMongoDbLink(Number(new URL(mongoDb.uri).port));
    const uri = mongoDb.uri.replace(/:\d+/, `:${link.port}`);
    client = createMongoClient(uri, { appName: 'test', poolSizeMax: 4 });
    collection = openDatabase(client, uri).collection<Write>(names.collection);
  });
  after(async () => {
    await client.close();
    await link.close();
    await mongoDb.stop();
  });
  beforeEach(() => {
    retries = 0;
    bulkWriter = createBulkWriter(collection, {
      concurrency: 2,
      breaker: createCircuitBreaker({ refusedMax: 200 }),
      signal: new AbortController().signal,
      onRetry: () => retries++,
    });
  });
  afterEach(() => link.treatInserts(undefined));

  const record = (document: Record<string, unknown> = {}) => createRecord(document, new Date());

  /** MongoDB does not get the first inserts; each of `replies` answers one, `undefined` with a cut connection. */
  function answerInserts(replies: ((documents: number) => Document | undefined)[]): { count: number } {
    const commands = { count: 0 };
    link.treatInserts((ids) => {
      const reply = replies[commands.count++];
      if (!reply) return undefined;
      return {
        isForwarded: false,
        reply() {
          const document = reply(ids.length);
          if (!document) {
            link.cut();
            link.open();
          }
          return document;
        },
      };
    });
    return commands;
  }

  const refuseEach = (code: number, errmsg: string) => (documents: number) => ({
    ok: 1,
    n: 0,
    writeErrors: Array.from({ length: documents }, (_, index) => ({ index, code, errmsg })),
  });

  test('looks the _id up where the text of a duplicate key does not name it', async () => {
    const texts = [
      'E11000 duplicate key error collection: assessmentdb.records. Failed _id or unique index constraint.',
      'E11000 duplicate key error collection: assessmentdb.records Failed _id or unique key constraint',
    ];
    for (const text of texts) {
      const [stored, missing] = [record(), record()];
      await bulkWriter.store([stored]);
      answerInserts([refuseEach(11000, text)]);
      const { refusals } = await bulkWriter.store([stored, missing]);
      assert.deepEqual(refusals, [{ write: missing, reason: `MongoDB error 11000: ${text}` }]);
    }
  });

  test('a duplicate key of a whole command is looked up as well', async () => {
    const [stored, missing] = [record(), record()];
    await bulkWriter.store([stored]);
    const text = 'E11000 duplicate key error collection: a. Failed _id or unique index constraint.';
    const refuse = () => ({ ok: 0, code: 11000, errmsg: text });
    answerInserts([refuse, refuse, refuse]);
    const { refusals } = await bulkWriter.store([stored, missing]);
    assert.deepEqual(refusals, [{ write: missing, reason: `MongoDB error 11000: ${text}` }]);
  });

  test('a repeat with the same Idempotency-Key and body is stored, and with another body refused', async () => {
    const [first, second, third, fourth] = keyedIds('key', '', 4);
    const sent = { amount: 1, list: [{ a: 1.5, b: null }], text: 'é' };
    await bulkWriter.store([
      createRecord(sent, new Date(0), first),
      createRecord({ amount: 1 }, new Date(0), second),
    ]);
    const same = createRecord({ text: 'é', list: [{ a: 1.5, b: null }], amount: 1 }, new Date(), first);
    const other = createRecord({ amount: 2 }, new Date(), second);
    const twice = [
      createRecord({ a: 1 }, new Date(), third),
      createRecord({ a: 2 }, new Date(), third),
    ] as const;
    const { refusals, held } = await bulkWriter.store([
      same,
      other,
      ...twice,
      createRecord({}, new Date(), fourth),
    ]);
    assert.deepEqual(held, []);
    assert.deepEqual(refusals, [
      { write: other, reason: reusedKey },
      { write: twice[1], reason: reusedKey },
    ]);
    assert.deepEqual(await collection.findOne({ _id: second as Write['_id'] }), {
      ...createRecord({ amount: 1 }, new Date(0), second),
    });
  });

  test('a repeat of GET /api/data with the same Idempotency-Key is stored, whatever its payload', async () => {
    const ids = keyedIds('data', '', 5);
    const writes = createWrites(new Date(0), ids);
    await bulkWriter.store(writes);
    assert.deepEqual((await bulkWriter.store(createWrites(new Date(), ids))).refusals, []);
    assert.deepEqual(await collection.findOne({ _id: ids[0] as Write['_id'] }), writes[0]);
    const record = createRecord({}, new Date(), ids[0]);
    assert.deepEqual((await bulkWriter.store([record])).refusals, [{ write: record, reason: reusedKey }]);
  });

  test('does not read a time-made _id back that MongoDB names', async () => {
    const write = record();
    await bulkWriter.store([write]);
    // What is stored is another document; nobody looks.
    assert.deepEqual((await bulkWriter.store([{ ...write, document: { other: 1 } } as Write])).refusals, []);
  });

  test('counts tries of an unknown code by answers with that code alone', async () => {
    const unknown = refuseEach(96, 'OperationFailed');
    const other = refuseEach(112, 'WriteConflict');
    const away = () => undefined;
    const commands = answerInserts([
      away,
      away,
      unknown,
      away,
      other,
      unknown,
      unknown,
      away,
      other,
      unknown,
    ]);
    assert.deepEqual((await bulkWriter.store([record()])).refusals, []);
    assert.equal(commands.count, 11);
  });

  test('an unknown code is refused after its tries', async () => {
    const write = record();
    const commands = answerInserts(Array(unknownRefusalTriesMax + 1).fill(refuseEach(96, 'OperationFailed')));
    assert.deepEqual((await bulkWriter.store([write])).refusals, [
      { write, reason: 'MongoDB error 96: OperationFailed' },
    ]);
    assert.equal(commands.count, unknownRefusalTriesMax);
  });

  test('a code of content costs one try', async () => {
    for (const code of [2, 9, 56, 61, 116, 121, 171, 241, 357, 378, 13027, 16755, 16804, 17280]) {
      const write = record();
      const commands = answerInserts(Array(2).fill(refuseEach(code, 'refused')));
      const reason = `MongoDB error ${code}: refused`;
      assert.deepEqual((await bulkWriter.store([write])).refusals, [{ write, reason }]);
      assert.equal(commands.count, 1, String(code));
    }
    assert.equal(retries, 0);
  });

  test('a doubt about the write concern refuses nothing, whatever its code', async () => {
    const doubt = (documents: number) => ({
      ok: 1,
      n: documents,
      writeConcernError: { code: 2, errmsg: 'bad write concern' },
    });
    answerInserts([doubt, doubt]);
    assert.deepEqual((await bulkWriter.store([record(), record()])).refusals, []);
    assert.equal(retries, 2);
  });

  test('a name that is not resolved is a failure of the network and refuses nothing', async () => {
    const servers = dns.getServers();
    // Nothing answers there.
    dns.setServers(['127.0.0.1:1']);
    dns.promises.setServers(['127.0.0.1:1']);
    const uri = 'mongodb+srv://mongodb.invalid/assessmentdb';
    const lost = createMongoClient(uri, { appName: 'test', poolSizeMax: 1 });
    const stopping = new AbortController();
    const errors: unknown[] = [];
    try {
      const lostWriter = createBulkWriter(lost.db('assessmentdb').collection<Write>(names.collection), {
        concurrency: 1,
        breaker: createCircuitBreaker({ refusedMax: 200 }),
        signal: stopping.signal,
        onRetry(error) {
          if (errors.push(error) === 2) stopping.abort();
        },
      });
      await assert.rejects(lostWriter.store([record()]), Abandoned);
      assert.match(String((errors[0] as NodeJS.ErrnoException).syscall), /query/);
    } finally {
      dns.setServers(servers);
      dns.promises.setServers(servers);
      await lost.close();
    }
  });
});
