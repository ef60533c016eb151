import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configSchema } from '../src/config.ts';
import { readEnvironment } from '../src/environment.ts';

const bad: [string, string, RegExp][] = [
  ['MONGODB_URI', 'http://user:secret@host', /must be a URI that the driver takes, such as mongodb:/],
  ['MONGODB_URI', 'mongodb://127.0.0.1:27017/?foo=bar', /must be a URI/],
  ['MONGODB_URI', 'mongodb://127.0.0.1:99999', /must be a URI/],
  ['MONGODB_URI', 'mongodb://u:secret%zz@host', /must be a URI/],
  ['MONGODB_URI', 'mongodb://127.0.0.1:27017/a%20b', /names a database that MongoDB does not allow/],
  ['MONGODB_URI', 'mongodb://u:secret@host/?w=0', /has the option `w=0`.* `w` must be 1 or more/],
  ['MONGODB_URI', 'mongodb://u:secret@host/?journal=false&W=0', /has the option `w=0`/],
  [
    'MONGODB_URI',
    'mongodb://u:secret@host/?w=1&sockettimeoutms=5',
    /the option `socketTimeoutMS`, .* Leave it out/,
  ],
  ['MONGODB_URI', 'mongodb://u:secret@host/?timeoutMS=5', /the option `timeoutMS`/],
  ['PUBSUB_EMULATOR_HOST', 'http://127.0.0.1:8085', /wants host:port/],
  ['PUBSUB_EMULATOR_HOST', '127.0.0.1:99999', /wants host:port/],
  ['PUBSUB_PROJECT_ID', 'No', /wants a Google Cloud project id/],
  ['PORT', '65536', /a whole number from 0 to 65535/],
  ['PORT', '3e3', /a whole number from 0 to 65535/],
  ['HOST', 'a b', /wants an address to listen on/],
  ['API_TOKEN', 'a-secret-of-31-characters-xxxxx', /wants 32 to 512 letters, digits/],
  ['API_TOKEN', `a secret with spaces, and long enough`, /wants 32 to 512 letters, digits/],
  ['API_TOKEN', 'a-secret'.repeat(65), /wants 32 to 512 letters, digits/],
  ['LOG_LEVEL', 'loud', /wants one of trace/],
  ['REQUEST_BYTES_MAX', '0', /from 4194304 to/],
  ['READ_CONCURRENCY', '11', /from 2 to 10/],
  ['PUBLISH_TIMEOUT_MS', '-1', /from 100 to 60000/],
];
for (const [name, value, message] of bad) {
  test(`refuses ${name}=${value.slice(0, 40)} by name, without its value`, () => {
    assert.throws(
      () => readEnvironment(configSchema, { [name]: value }),
      (error: Error) =>
        error.message.includes(`  ${name}: `) && message.test(error.message) && !/secret/.test(error.message),
    );
  });
}

test('names every bad variable at once', () => {
  assert.throws(
    () => readEnvironment(configSchema, { PORT: 'x', LOG_LEVEL: 'y' }),
    (error: Error) => /^ {2}PORT: /m.test(error.message) && /^ {2}LOG_LEVEL: /m.test(error.message),
  );
});

test('takes a token at both limits of its length', () => {
  for (const length of [32, 512]) {
    const API_TOKEN = 'x'.repeat(length);
    assert.equal(readEnvironment(configSchema, { API_TOKEN }).API_TOKEN, API_TOKEN);
  }
});

test('takes an empty variable as unset', () => {
  const config = readEnvironment(configSchema, { PORT: '', PUBSUB_EMULATOR_HOST: '' });
  assert.equal(config.PORT, 3000);
  assert.equal(config.PUBSUB_EMULATOR_HOST, undefined);
});
