import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { names } from '@assessment/api/names';
import { MongoClient, ObjectId } from 'mongodb';
import { type NodeProcess, startApi } from './parts.ts';
import { needs } from './programs.ts';
import { type Answer, request } from './requests.ts';
import { type System, startSystem } from './system.ts';
import { until } from './until.ts';

/** Short, so that a broker that is away is told within the test's patience. */
const publishTimeoutMs = 1_000;

describe('a request with an Idempotency-Key', needs('mongodb'), () => {
  let system: System;
  let other: NodeProcess;
  let mongo: MongoClient;

  before(async () => {
    const env = { PUBLISH_TIMEOUT_MS: String(publishTimeoutMs) };
    system = await startSystem(env);
    other = await startApi({ mongoDb: system.mongoDb, broker: system.broker, env });
    mongo = new MongoClient(system.mongoDb.uri);
  });
  after(async () => {
    await mongo.close();
    await other.stop();
    await system.stop();
  });

  const getData = (key: string, api = system.api) =>
    request(`${api.url}/api/data`, { headers: { 'idempotency-key': key } });
  const post = (body: unknown, key: string | undefined, api = system.api) =>
    request(`${api.url}/api/records`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(key !== undefined && { 'idempotency-key': key }) },
      body: JSON.stringify(body),
    });

  const countOf = (ids: string[]) =>
    mongo
      .db()
      .collection(names.collection)
      .countDocuments({ _id: { $in: ids.map((id) => new ObjectId(id)) } });
  const allStored = (ids: string[]) =>
    until(
      () => countOf(ids),
      (count) => count === ids.length,
    );
  const documentsCount = () => mongo.db().collection(names.collection).countDocuments();

  function assertReplayed(answer: Answer, first: Answer): void {
    assert.equal(answer.status, first.status);
    assert.deepEqual(answer.body, first.body);
    assert.equal(answer.headers.get('idempotent-replayed'), 'true');
  }

  test('is answered as it was the first time, by the process that answered it', async () => {
    for (const send of [() => getData('again'), () => post([{ a: 1 }, { a: 2 }], 'again-too')]) {
      const first = await send();
      assert.equal(first.headers.get('idempotent-replayed'), null);
      assertReplayed(await send(), first);
      assertReplayed(await send(), first);
    }
  });

  test('gets one answer when it is sent many times at once', async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => post({ a: 1 }, 'at-once')));
    assert.equal(new Set(answers.map(({ body }) => JSON.stringify(body))).size, 1);
    assert.equal(answers.filter(({ headers }) => !headers.has('idempotent-replayed')).length, 1);
  });

  test('is answered by another process with the ids and the time of what is stored', async () => {
    const data = await getData('elsewhere');
    await allStored(data.body.writes);
    const dataElsewhere = await getData('elsewhere', other);
    assert.deepEqual(dataElsewhere.body.writes, data.body.writes);
    assert.equal(dataElsewhere.body.timestamp, data.body.timestamp);
    assert.equal(dataElsewhere.headers.get('idempotent-replayed'), 'true');
    const records = await post([{ a: 1 }, { b: { c: [1, 1.5, -0, 'x', null] } }], 'elsewhere-too');
    await allStored(records.body.ids);
    const again = [{ a: 1 }, { b: { c: [1, 1.5, -0, 'x', null] } }];
    assertReplayed(await post(again, 'elsewhere-too', other), records);
  });

  test('is stored once when another process takes it before it is stored', async () => {
    const before = await documentsCount();
    system.writer.pause();
    const [data, dataElsewhere] = [await getData('not-stored'), await getData('not-stored', other)];
    assert.equal(dataElsewhere.status, 200);
    assert.deepEqual(dataElsewhere.body.writes, data.body.writes);
    const records = await post({ a: 1 }, 'not-stored-too');
    const recordsElsewhere = await post({ a: 1 }, 'not-stored-too', other);
    assert.equal(recordsElsewhere.status, 202);
    assert.deepEqual(recordsElsewhere.body.ids, records.body.ids);
    system.writer.resume();
    await allStored([...data.body.writes, ...records.body.ids]);
    const last = await post({ last: true }, undefined);
    await allStored(last.body.ids);
    assert.equal((await documentsCount()) - before, 7);
  });

  test('is refused with 422 when the key was used with another body', async () => {
    const { body } = await post([{ a: 1 }, { a: 2 }], 'taken');
    const others = [[{ a: 1 }, { a: 3 }], [{ a: 1 }], [{ a: 1 }, { a: 2 }, { a: 3 }], { a: 1 }];
    for (const another of others) {
      const refused = await post(another, 'taken');
      assert.equal(refused.status, 422);
      assert.equal(refused.body.code, 'idempotency_key_reused');
      assert.match(refused.body.message, /^Idempotency-Key: /);
    }
    assert.equal((await getData('taken')).status, 422);
    await allStored(body.ids);
    for (const another of [[{ a: 1 }, { a: 3 }], [{ a: 1 }], { a: '1' }]) {
      assert.equal((await post(another, 'taken', other)).status, 422);
    }
    assert.equal((await getData('taken', other)).status, 422);
    assert.equal((await post([{ a: 1 }, { a: 2 }], 'taken', other)).status, 202);
  });

  test('is refused with 400 when the key is no key', async () => {
    for (const key of ['', 'two words', 'x'.repeat(256)]) {
      const { status, body } = await getData(key);
      assert.equal(status, 400);
      assert.match(body.message, /^Idempotency-Key: must be 1 to 255 visible ASCII characters/);
      assert.equal((await post({}, key)).status, 400);
    }
  });

  test('is stored once when it is repeated after a broker that did not confirm', async () => {
    const before = await documentsCount();
    system.broker.pause();
    const [data, records] = await Promise.all([getData('unconfirmed'), post([{}, {}], 'unconfirmed-too')]);
    for (const [answer, count] of [
      [data, 5],
      [records, 2],
    ] as const) {
      assert.equal(answer.status, 503);
      assert.equal(answer.body.code, 'publish_unconfirmed');
      assert.equal(new Set(answer.body.ids).size, count);
      assert.match(answer.body.message, /Send the request again with the same Idempotency-Key/);
      assert.ok(answer.headers.has('retry-after'));
    }
    system.broker.resume();
    const isAnswered = ({ status }: Answer) => status < 300;
    const dataAgain = await until(() => getData('unconfirmed'), isAnswered);
    assert.deepEqual(dataAgain.body.writes, data.body.ids);
    const recordsAgain = await until(() => post([{}, {}], 'unconfirmed-too', other), isAnswered);
    assert.deepEqual(recordsAgain.body.ids, records.body.ids);
    await allStored([...data.body.ids, ...records.body.ids]);
    const last = await post({ last: true }, undefined);
    await allStored(last.body.ids);
    assert.equal((await documentsCount()) - before, 8);
  });

  test('without a key publish_unconfirmed names the ids as well, and they are stored later', async () => {
    system.broker.pause();
    const [data, records] = await Promise.all([
      request(`${system.api.url}/api/data`),
      post({ a: 1 }, undefined),
    ]);
    system.broker.resume();
    for (const { body } of [data, records]) {
      assert.equal(body.code, 'publish_unconfirmed');
      assert.match(body.message, /Look the ids up before you send the request again/);
    }
    assert.equal(data.body.ids.length, 5);
    await allStored([...data.body.ids, ...records.body.ids]);
  });

  test('is answered while MongoDB stands still', async () => {
    system.mongoDb.pause();
    const data = await getData('no-database');
    const records = await post({ a: 1 }, 'no-database-too');
    system.mongoDb.resume();
    assert.equal(data.status, 200);
    assert.equal(records.status, 202);
    await allStored([...data.body.writes, ...records.body.ids]);
  });
});
