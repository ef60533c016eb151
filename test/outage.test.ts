import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { startApi } from './parts.ts';
import { needs } from './programs.ts';
import { type Answer, request } from './requests.ts';
import { type System, startSystem } from './system.ts';
import { until } from './until.ts';

/** Short, so that a broker that is away is told within the test's patience. */
const publishTimeoutMs = 1_000;

describe('when a part is away', needs('mongodb'), () => {
  let system: System;
  let url: string;

  before(async () => {
    system = await startSystem({ PUBLISH_TIMEOUT_MS: String(publishTimeoutMs) });
    url = system.api.url;
    await until(getData, isReading);
  });
  after(() => system.stop());

  const getData = () => request(`${url}/api/data`);
  const isReading = (answer: Answer) => answer.status === 200 && answer.body.reads[0] !== null;
  const isReady = () =>
    until(
      () => request(`${url}/readyz`),
      ({ status }) => status === 200,
    );

  async function allStored(ids: string[]): Promise<void> {
    for (const id of ids) {
      await until(
        () => request(`${url}/api/records/${id}`),
        ({ status }) => status === 200,
      );
    }
  }

  /** Requests until readiness says what is away, and some more; returns the ids confirmed meanwhile. */
  async function loadWhileMongoDbIsAway(): Promise<string[]> {
    const ids: string[] = [];
    const notReady = until(
      () => request(`${url}/readyz`),
      ({ status }) => status === 503,
    );
    let readiness: Answer | undefined;
    void notReady.then((answer) => {
      readiness = answer;
    });
    for (let more = 0; more < 20; more += readiness ? 1 : 0) {
      const answer = await getData();
      assert.equal(answer.status, 200);
      assert.notEqual(answer.body.reads[0], null);
      ids.push(...answer.body.writes);
      await pause(10);
    }
    assert.deepEqual(readiness?.body, { status: 'not ready', error: 'MongoDB is not answering' });
    return ids;
  }

  test('MongoDB killed: requests are answered, reads come from the cache, all is stored when it is back', async () => {
    await system.mongoDb.kill();
    const ids = await loadWhileMongoDbIsAway();
    assert.equal((await request(`${url}/servez`)).status, 200);
    const lookUp = await request(`${url}/api/records/${ids[0]}`);
    assert.equal(lookUp.status, 503);
    assert.equal(lookUp.body.code, 'database_unavailable');
    assert.equal(lookUp.headers.get('retry-after'), '2');
    await system.mongoDb.restart();
    await allStored(ids);
    await isReady();
  });

  test('MongoDB paused: the same', async () => {
    system.mongoDb.pause();
    const ids = await loadWhileMongoDbIsAway();
    system.mongoDb.resume();
    await allStored(ids);
    await isReady();
  });

  test('the api restarted while MongoDB holds documents: reads are ids again', async () => {
    await system.api.kill();
    await system.api.restart();
    await until(getData, isReading);
  });

  test('an api started while MongoDB is away answers, with null reads, and finds ids when it is back', async () => {
    await system.mongoDb.kill();
    await system.api.stop();
    await system.api.restart();
    const answer = await getData();
    assert.equal(answer.status, 200);
    assert.deepEqual(answer.body.reads, [null, null, null, null, null]);
    const stats = await request(`${url}/api/stats`);
    assert.equal(stats.body.code, 'database_unavailable');
    await system.mongoDb.restart();
    await until(getData, isReading);
    await allStored(answer.body.writes);
  });

  async function refusedWhileBrokerIsAway(): Promise<void> {
    const answers = await Promise.all(Array.from({ length: 50 }, getData));
    for (const answer of answers) {
      assert.equal(answer.status, 503);
      assert.match(answer.body.code, /^publish_(unconfirmed|not_sent)$/);
      assert.equal(answer.headers.get('retry-after'), '2');
    }
    const metrics = await (await fetch(`${url}/metrics`)).text();
    assert.match(metrics, /^api_publish_outstanding_bytes 0$/m);
    const readiness = await request(`${url}/readyz`);
    assert.equal(readiness.status, 503);
    assert.match(readiness.body.error, /Pub\/Sub is not answering/);
  }

  test('the broker killed: 503 with Retry-After, nothing is kept, and 200 by itself when it is back', async () => {
    await system.broker.kill();
    await refusedWhileBrokerIsAway();
    await system.broker.restart();
    const answer = await until(getData, ({ status }) => status === 200);
    await allStored(answer.body.writes);
    await isReady();
  });

  test('the broker killed while the writer is away: what it had confirmed is stored afterwards', async () => {
    await system.writer.kill();
    const ids: string[] = [];
    for (let requests = 0; requests < 20; requests++) ids.push(...(await getData()).body.writes);
    await system.broker.kill();
    await system.broker.restart();
    await system.writer.restart();
    assert.equal(ids.length, 100);
    await allStored(ids);
  });

  test('the broker paused: the same', async () => {
    system.broker.pause();
    await refusedWhileBrokerIsAway();
    system.broker.resume();
    const answer = await until(getData, ({ status }) => status === 200);
    await allStored(answer.body.writes);
    await isReady();
  });

  test('SIGTERM under load: every request is answered, what was confirmed is stored, both exit 0', async () => {
    const confirmed: string[] = [];
    const clients = Array.from({ length: 20 }, async () => {
      for (;;) {
        const answer = await getData();
        assert.ok(answer.status === 200 || answer.status === 503, String(answer.status));
        if (answer.status === 200) confirmed.push(...answer.body.writes);
        // As a load balancer does: who is told that the connection closes goes elsewhere.
        if (answer.headers.get('connection') === 'close') return;
      }
    });
    await until(
      async () => confirmed.length,
      (count) => count > 500,
    );
    await Promise.all([system.api.stop(), system.writer.stop()]);
    await Promise.all(clients);
    assert.equal(await system.api.exited(), 0);
    assert.equal(await system.writer.exited(), 0);
    await Promise.all([system.api.restart(), system.writer.restart()]);
    await allStored(confirmed);
  });

  test('an api on a taken port says so and exits 1', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    await assert.rejects(startApi({ ...system, env: { PORT: String(port) } }), (error: Error) => {
      return (
        error.message.includes(`PORT: 127.0.0.1:${port} is taken`) && error.message.includes('ended with 1')
      );
    });
    other.close();
  });

  test('an api with bad variables names them and exits 1', async () => {
    await assert.rejects(
      startApi({ ...system, env: { LOG_LEVEL: 'loud', REQUEST_BYTES_MAX: '-1' } }),
      /ended with 1[\s\S]*LOG_LEVEL: wants[\s\S]*REQUEST_BYTES_MAX: wants/,
    );
  });
});
