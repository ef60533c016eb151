/** The audit's own load, against a server that answers as a real api only does in trouble. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { createFolder } from '../../test/process.ts';
import { driveLoad } from '../load.ts';

const writes = Array.from({ length: 5 }, (_, index) => `6b0451a8c7f286bc170a8f6${index}`);

test('the load counts what it got instead of a confirmation, each kind by itself', async () => {
  const answers: ((response: ServerResponse) => void)[] = [
    (response) => response.end(JSON.stringify({ status: 'success', writes })),
    (response) => {
      response.statusCode = 503;
      response.setHeader('Retry-After', '1').end('{"status":"error","code":"overloaded"}');
    },
    (response) => {
      response.statusCode = 503;
      response.end('{"status":"error","code":"overloaded"}');
    },
    (response) => {
      response.statusCode = 502;
      response.end('<html>');
    },
    (response) => response.socket?.destroy(),
    (response) => response.socket?.destroy(),
  ];
  const stopping = new AbortController();
  let asked = 0;
  const tokens = new Set<string | undefined>();
  const server = createServer(({ headers }, response) => {
    tokens.add(headers.authorization);
    answers[asked++]?.(response);
    if (asked === answers.length) stopping.abort();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const run = await driveLoad(
    {
      baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      token: 'a-token',
      connections: 1,
      durationMs: 60_000,
      idsFile: join(createFolder(), 'ids.txt'),
      signal: stopping.signal,
      onProgress() {},
    },
    new Date(),
  );
  server.close();
  assert.deepEqual([...tokens], ['Bearer a-token']);
  assert.deepEqual([run.sent, run.confirmed, run.refused, run.recorded], [6, 1, 2, 1]);
  assert.deepEqual(run.failures, {
    '503 overloaded': 1,
    '503 overloaded without Retry-After': 1,
    '502': 1,
    ECONNRESET: 2,
  });
});
