/** A MongoDB that takes TLS alone and wants to know who asks: all of it is in MONGODB_URI, and stays there. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { MongoClient } from 'mongodb';
import { type Broker, type MongoDb, startApi, startEmulator, startMongoDb, startWriter } from './parts.ts';
import { createFolder, type RunningProcess } from './process.ts';
import { needs } from './programs.ts';
import { request } from './requests.ts';
import { until } from './until.ts';

const user = 'writer-of-records';
const password = 'correct-horse-battery';
const secrets = new RegExp(`${user}|${password}|wrong-password|mongodb://`);

/** A certificate for loopback that is its own authority, and its key. */
function createCertificate(folder: string) {
  const [caFile, keyFile, pemFile] = ['ca.pem', 'key.pem', 'server.pem'].map((name) =>
    join(folder, name),
  ) as [string, string, string];
  execFileSync(
    'openssl',
    [
      ...[
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:prime256v1',
        '-nodes',
        '-days',
        '2',
      ],
      ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost'],
      ...['-keyout', keyFile, '-out', caFile],
    ],
    { stdio: 'pipe' },
  );
  writeFileSync(pemFile, readFileSync(caFile, 'utf8') + readFileSync(keyFile, 'utf8'));
  return { caFile, pemFile };
}

describe('MongoDB with TLS and authentication', needs('mongodb', 'openssl'), () => {
  let mongoDb: MongoDb;
  let broker: Broker;
  let uriAs: (password: string, options?: string) => string;
  let caOption: string;

  before(async () => {
    const { caFile, pemFile } = createCertificate(createFolder());
    caOption = `&tlsCAFile=${encodeURIComponent(caFile)}`;
    [mongoDb, broker] = await Promise.all([startMongoDb({ pemFile }), startEmulator()]);
    uriAs = (word, options = caOption) =>
      mongoDb.uri.replace('mongodb://', `mongodb://${user}:${word}@`) +
      `?authSource=admin&tls=true${options}`;
    // The first user, whom nobody can have allowed.
    await using admin = new MongoClient(`${mongoDb.uri}?tls=true${caOption}`);
    await admin.db('admin').command({
      createUser: user,
      pwd: password,
      roles: [{ role: 'readWrite', db: 'assessmentdb' }],
    });
  });
  after(() => Promise.all([mongoDb.stop(), broker.stop()]));

  async function startBoth(uri: string) {
    const backends = { mongoDb: { uri }, broker, env: { LOG_LEVEL: 'trace' } };
    const api = await startApi(backends);
    return { api, startWriter: () => startWriter(backends) };
  }

  function saysNothing(...processes: RunningProcess[]): void {
    for (const { output } of processes) assert.doesNotMatch(output(), secrets);
  }

  test('api and writer store and read by MONGODB_URI, and log neither it nor what they store', async () => {
    const { api, startWriter } = await startBoth(uriAs(password));
    const writer = await startWriter();
    await request(`${api.url}/api/records`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"note":"a-private-note"}',
    });
    const { body } = await request(`${api.url}/api/data`);
    const { body: stored } = await until(
      () => request(`${api.url}/api/records/${body.writes[4]}`),
      ({ status }) => status === 200,
    );
    assert.equal((await request(`${api.url}/readyz`)).status, 200);
    await Promise.all([api.stop(), writer.stop()]);
    saysNothing(api, writer);
    for (const { output } of [api, writer]) {
      assert.ok(!output().includes('a-private-note'));
      assert.ok(!output().includes(stored.payload.slice(0, 32)));
    }
  });

  for (const [what, uri] of [
    ['a wrong password', () => uriAs('wrong-password')],
    ['an authority that it does not know', () => uriAs(password, '')],
    ['no TLS', () => uriAs(password).replace('tls=true', 'tls=false').replace(caOption, '')],
  ] as const) {
    test(`with ${what} the api is not ready, says no more than that, and logs none of the URI`, async () => {
      const { api } = await startBoth(uri());
      const { body } = await until(
        () => request(`${api.url}/readyz`),
        ({ status }) => status === 503,
      );
      assert.deepEqual(body, { status: 'not ready', error: 'MongoDB is not answering' });
      const lookUp = await request(`${api.url}/api/records/${'0'.repeat(24)}`);
      assert.equal(lookUp.status, 503);
      assert.doesNotMatch(JSON.stringify(lookUp.body), secrets);
      await until(
        async () => api.output(),
        (output) => output.includes('MongoDB is not ready'),
      );
      await api.stop();
      saysNothing(api);
    });
  }
});
