import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { createConnection } from 'node:net';
import { test } from 'node:test';
import { listen } from '../src/server.ts';

test('closes when a request that is answered late leaves a connection that would stay open', async () => {
  const held = Promise.withResolvers<ServerResponse>();
  const server = await listen((_request, response) => held.resolve(response), {
    host: '127.0.0.1',
    port: 0,
    connectionsMax: 10,
  });
  const socket = createConnection({ host: '127.0.0.1', port: server.port });
  socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  const response = await held.promise;
  const closed = server.close();
  // Past the moment in which connections that are idle already are closed.
  setTimeout(() => response.end('late'), 600);
  const [answer] = await once(socket, 'data');
  assert.match(String(answer), /^HTTP\/1\.1 200 [\s\S]*late/);
  await closed;
});

for (const [what, request, status, code] of [
  ['without a Host', 'GET / HTTP/1.1\r\n\r\n', 400, 'invalid_request'],
  [
    'with an expectation that is none',
    'GET / HTTP/1.1\r\nHost: a\r\nExpect: gifts\r\n\r\n',
    417,
    'expectation_failed',
  ],
] as const) {
  test(`refuses a request ${what} in the shape of every error`, async () => {
    const server = await listen(() => assert.fail('the request was passed on'), {
      host: '127.0.0.1',
      port: 0,
      connectionsMax: 10,
    });
    const socket = createConnection({ host: '127.0.0.1', port: server.port });
    socket.write(request);
    let answer = '';
    for await (const piece of socket) answer += piece;
    const [head = '', body = ''] = answer.split('\r\n\r\n');
    assert.ok(head.startsWith(`HTTP/1.1 ${status} `), head);
    assert.equal(JSON.parse(body).code, code);
    await server.close();
  });
}
