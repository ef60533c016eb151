/** Flags over environment over defaults, and what is wrong with them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Config, readConfig } from '../src/config.ts';

const defaults: Config = {
  host: '127.0.0.1',
  port: 8085,
  project: undefined,
  dataDir: '.data/emulator',
  dataBytesMax: undefined,
  durability: 'disk',
  declarations: undefined,
  corsOrigins: [],
  hasTestEndpoints: false,
};

test('takes flags over variables over defaults, and an empty one as none', () => {
  assert.deepEqual(readConfig([], {}), defaults);
  assert.deepEqual(readConfig([], { EMULATOR_HOST_PORT: '', EMULATOR_DURABILITY: '' }), defaults);
  const env = {
    EMULATOR_HOST_PORT: '[::1]:0',
    PUBSUB_PROJECT_ID: 'assessment-project',
    EMULATOR_DATA_DIR: '/data',
    EMULATOR_DATA_BYTES_MAX: '10000000',
    EMULATOR_DURABILITY: 'process',
    EMULATOR_DECLARE: '{}',
    EMULATOR_CORS_ORIGINS: 'https://shop.test,http://10.0.0.1:3000',
  };
  const read: Config = {
    host: '::1',
    port: 0,
    project: 'assessment-project',
    dataDir: '/data',
    dataBytesMax: 10_000_000,
    durability: 'process',
    declarations: '{}',
    corsOrigins: ['https://shop.test', 'http://10.0.0.1:3000'],
    hasTestEndpoints: false,
  };
  assert.deepEqual(readConfig([], env), read);
  const flags = ['--host-port=0.0.0.0:65535', '--durability', 'disk'];
  assert.deepEqual(readConfig(flags, env), { ...read, host: '0.0.0.0', port: 65_535, durability: 'disk' });
  assert.equal(readConfig(['-h'], {}), 'help');
});

test('names all bad settings at once, and flags that it does not know', () => {
  const env = { EMULATOR_DATA_BYTES_MAX: '9999999', EMULATOR_DURABILITY: 'memory', PUBSUB_PROJECT_ID: 'a/b' };
  const lines = [
    'Bad settings:',
    '  --host-port (EMULATOR_HOST_PORT): wants host:port such as 127.0.0.1:8085, with a port up to 65535',
    '  --project (PUBSUB_PROJECT_ID): wants a project id of letters, digits and ._:-, at most 63',
    '  --data-bytes-max (EMULATOR_DATA_BYTES_MAX): wants a number of bytes, at least 10000000',
    '  --durability (EMULATOR_DURABILITY): wants disk or process',
  ];
  for (const origins of ['shop.test', 'https://shop.test/', 'https://a.test,', 'ftp://a.test']) {
    const message = /--cors-origins \(EMULATOR_CORS_ORIGINS\): wants origins such as https:\/\/shop\.test/;
    assert.throws(() => readConfig([`--cors-origins=${origins}`], {}), { name: 'InvalidConfig', message });
  }
  for (const hostPort of ['127.0.0.1:65536', '127.0.0.1', 'http://127.0.0.1:8085']) {
    const message = lines.join('\n');
    assert.throws(() => readConfig([`--host-port=${hostPort}`], env), { name: 'InvalidConfig', message });
  }
  assert.throws(() => readConfig(['--hostport=1'], {}), { name: 'InvalidConfig', message: /'--hostport'/ });
});
