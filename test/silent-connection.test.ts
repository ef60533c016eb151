import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { createLink, type Link } from '../stress-test/chaos/link.ts';
import {
  type Broker,
  type MongoDb,
  type NodeProcess,
  startApi,
  startEmulator,
  startMongoDb,
  startWriter,
} from './parts.ts';
import { needs } from './programs.ts';
import { request } from './requests.ts';
import { until } from './until.ts';

/**
 * Each connection, and the time that README.md states: 15 s until a new connection to the broker, and for the writer up to
 * 15 s until the emulator closes the old one and 10 s more until the leases on it end; MongoDB's heartbeat takes 4 s.
 */
const connections = [
  { name: 'apiToBroker', what: 'the api and the broker', timeMs: 15_000 },
  { name: 'writerToBroker', what: 'the writer and the broker', timeMs: 25_000 },
  { name: 'apiToMongoDb', what: 'the api and MongoDB', timeMs: 4_000 },
  { name: 'writerToMongoDb', what: 'the writer and MongoDB', timeMs: 4_000 },
] as const;

/** For the next try and its answer, on a machine with other work. Without a limit of ours it takes minutes. */
const lateMsMax = 15_000;

describe('when a connection goes silent', needs('mongodb'), () => {
  let mongoDb: MongoDb;
  let broker: Broker;
  let links: Record<(typeof connections)[number]['name'], Link>;
  let api: NodeProcess;
  let writer: NodeProcess;

  before(async () => {
    [mongoDb, broker] = await Promise.all([startMongoDb(), startEmulator()]);
    const mongoDbPort = Number(new URL(mongoDb.uri).port);
    const brokerPort = Number(broker.host.split(':')[1]);
    links = {
      apiToBroker: await createLink(brokerPort),
      writerToBroker: await createLink(brokerPort),
      apiToMongoDb: await createLink(mongoDbPort),
      writerToMongoDb: await createLink(mongoDbPort),
    };
    const backends = (toMongoDb: Link, toBroker: Link) => ({
      mongoDb: { uri: mongoDb.uri.replace(String(mongoDbPort), String(toMongoDb.port)) },
      broker: { host: `127.0.0.1:${toBroker.port}` },
    });
    api = await startApi(backends(links.apiToMongoDb, links.apiToBroker));
    writer = await startWriter(backends(links.writerToMongoDb, links.writerToBroker));
  });
  after(async () => {
    await Promise.all([api.stop(), writer.stop()]);
    await Promise.all(Object.values(links).map((link) => link.close()));
    await Promise.all([broker.stop(), mongoDb.stop()]);
  });

  const getData = () => request(`${api.url}/api/data`);
  const isStored = async (id: string) => (await request(`${api.url}/api/records/${id}`)).status === 200;

  /** Resolves when a request is answered 200 and its writes are stored. */
  async function allWorks(): Promise<void> {
    const { body } = await until(getData, ({ status }) => status === 200);
    for (const id of body.writes) await until(() => isStored(id));
  }

  beforeEach(allWorks);

  for (const { name, what, timeMs } of connections) {
    test(`between ${what}: answers are 200 and everything is stored again, without a restart`, async () => {
      links[name].silence();
      // For new connections.
      links[name].open();
      const silentAt = performance.now();
      const { status, body } = await getData();
      await allWorks();
      for (const id of status === 200 ? body.writes : []) await until(() => isStored(id));
      const tookMs = performance.now() - silentAt;
      assert.ok(tookMs < timeMs + lateMsMax, `${Math.round(tookMs)} ms`);
    });
  }
});
