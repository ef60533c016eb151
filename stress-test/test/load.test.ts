/** The audit's own load, against a server that answers as a real api only does in trouble. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { createFolder } from '../../test/process.ts';
import { driveLoad, type LoadOptions } from '../load.ts';

const writes = Array.from({ length: 5 }, (_, index) => `6b0451a8c7f286bc170a8f6${index}`);

type AnswerOne = (response: ServerResponse) => void;

/** A server that gives each request the next answer, and a load that ends at one of them, the last without `endAt`. */
async function startServer(answers: AnswerOne[], endAt = answers.length) {
  const ending = new AbortController();
  const asked: IncomingHttpHeaders[] = [];
  const server = createServer(({ headers }, response) => {
    const answer = answers[asked.length];
    asked.push(headers);
    if (asked.length === endAt) ending.abort();
    answer?.(response);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const load: LoadOptions = {
    baseUrl,
    connections: 1,
    durationMs: 60_000,
    idsFile: join(createFolder(), 'ids.txt'),
    signal: ending.signal,
  };
  return { load, asked, close: () => server.close() };
}

const confirm: AnswerOne = (response) => response.end(JSON.stringify({ status: 'success', writes }));
const fail =
  (code: string, ids?: string[]): AnswerOne =>
  (response) => {
    response.statusCode = 503;
    response.setHeader('Retry-After', '1').end(JSON.stringify({ status: 'error', code, ids }));
  };
const cut: AnswerOne = (response) => response.socket?.destroy();

test('the load counts what it got instead of a confirmation, each kind by itself', async () => {
  const { load, asked, close } = await startServer([
    confirm,
    fail('overloaded'),
    (response) => {
      response.statusCode = 503;
      response.end('{"status":"error","code":"overloaded"}');
    },
    (response) => {
      response.statusCode = 502;
      response.end('<html>');
    },
    cut,
    cut,
  ]);
  const run = await driveLoad({ ...load, token: 'a-token', onProgress() {} }, new Date());
  close();
  assert.deepEqual(
    asked.map((headers) => [headers.authorization, headers['idempotency-key']]),
    Array(6).fill(['Bearer a-token', undefined]),
  );
  assert.deepEqual([run.sent, run.confirmed, run.refused, run.recorded], [6, 1, 2, 1]);
  assert.deepEqual(run.failures, {
    '503 overloaded': 1,
    '503 overloaded without Retry-After': 1,
    '502': 1,
    ECONNRESET: 2,
  });
});

test('with keys the load repeats a request with its key until it is confirmed, and the next has another', async () => {
  const { load, asked, close } = await startServer([
    cut,
    fail('overloaded'),
    fail('publish_unconfirmed', writes),
    confirm,
    confirm,
  ]);
  const run = await driveLoad({ ...load, keys: {} }, new Date());
  close();
  const keys = asked.map((headers) => headers['idempotency-key']);
  assert.equal(new Set(keys.slice(0, 4)).size, 1);
  assert.equal(new Set(keys).size, 2);
  assert.deepEqual([run.sent, run.confirmed, run.refused, run.recorded, run.lastSecond], [2, 2, 0, 2, 0]);
  assert.deepEqual(run.keyed, { repeats: 3, idsChanged: 0 });
  assert.match(readFileSync(load.idsFile, 'utf8'), /^begin \S+ keyed\n(confirmed [0-9a-f ]+\n){2}$/);
});

test('with keys the load repeats after its end what is not confirmed yet', async () => {
  const { load, close } = await startServer([cut, cut, confirm], 1);
  const run = await driveLoad({ ...load, keys: {} }, new Date());
  close();
  assert.deepEqual([run.sent, run.confirmed, run.keyed], [1, 1, { repeats: 2, idsChanged: 0 }]);
});

test('with keys the load counts an answer with other ids than before', async () => {
  const others = writes.toReversed();
  const { load, close } = await startServer([
    fail('publish_unconfirmed', others),
    fail('publish_unconfirmed', others),
    confirm,
  ]);
  const run = await driveLoad({ ...load, keys: {} }, new Date());
  close();
  assert.deepEqual(run.keyed, { repeats: 2, idsChanged: 1 });
});

test('a try that goes to two processes at the same moment is confirmed when both confirm it', async () => {
  const first = await startServer([confirm, confirm]);
  const second = await startServer([cut, confirm]);
  const alsoTo = () => [second.load.baseUrl];
  const run = await driveLoad({ ...first.load, keys: { alsoTo } }, new Date());
  first.close();
  second.close();
  const keys = [...first.asked, ...second.asked].map((headers) => headers['idempotency-key']);
  assert.equal(keys.length, 4);
  assert.equal(new Set(keys).size, 1);
  assert.deepEqual([run.sent, run.confirmed, run.recorded], [1, 1, 1]);
  assert.deepEqual(run.keyed, { repeats: 3, idsChanged: 0 });
});
