import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';

test('logs of an error what it says and its causes, and none of the documents and ids that hang on it', () => {
  const program = `
    import { createLogger } from '@assessment/api/log';
    import { MongoBulkWriteError } from 'mongodb';
    const ids = Object.fromEntries(Array.from({ length: 1_000 }, (_, at) => [at, 'id ' + at]));
    const refused = { code: 121, index: 0, errmsg: 'refused', op: { payload: 'a secret' } };
    const cause = new Error('connect ECONNREFUSED');
    const error = new MongoBulkWriteError({ message: 'not stored', code: 121, writeErrors: [refused] }, { insertedIds: ids });
    error.cause = cause;
    createLogger('writer', 'info').warn({ err: error }, 'bulkWrite failed');
  `;
  const args = ['--input-type=module', '--eval', program];
  const line = execFileSync(process.execPath, args, { cwd: import.meta.dirname, encoding: 'utf8' });
  const { err, msg } = JSON.parse(line);
  assert.equal(msg, 'bulkWrite failed');
  assert.deepEqual(Object.keys(err), ['type', 'message', 'code', 'stack']);
  assert.equal(err.type, 'MongoBulkWriteError');
  assert.equal(err.code, 121);
  assert.match(err.message, /^not stored.*connect ECONNREFUSED/);
  assert.doesNotMatch(line, /secret|id 999/);
});

test('logs of a duplicate key which index it is, and not its value', () => {
  const program = `
    import { createLogger } from '@assessment/api/log';
    import { MongoServerError } from 'mongodb';
    const errmsg = 'E11000 duplicate key error collection: a.b index: payload_1 dup key: { payload: "a \\n secret" }';
    createLogger('writer', 'info').warn({ err: new MongoServerError({ errmsg, code: 11000 }) }, 'bulkWrite failed');
  `;
  const args = ['--input-type=module', '--eval', program];
  const line = execFileSync(process.execPath, args, { cwd: import.meta.dirname, encoding: 'utf8' });
  const { err } = JSON.parse(line);
  assert.equal(err.message, 'E11000 duplicate key error collection: a.b index: payload_1');
  assert.match(err.stack, /index: payload_1\n {4}at /);
  assert.doesNotMatch(line, /secret/);
});
