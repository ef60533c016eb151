import assert from 'node:assert/strict';
import type { RequestListener, ServerResponse } from 'node:http';
import { test } from 'node:test';
import { exchange, openSocket, parseAnswers, readToEnd } from '../../test/raw-http.ts';
import { until } from '../../test/until.ts';
import { type HttpServer, type ListenOptions, listen } from '../src/server.ts';

const at = ({ port }: HttpServer) => `http://127.0.0.1:${port}`;
const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const last = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
const answer = (_request: unknown, response: ServerResponse) => response.end('ok');

/** @param refused is told of what is refused before the listener. */
function serve(listener: RequestListener, timeouts: ListenOptions['timeouts'] = {}, refused: string[] = []) {
  return listen(listener, {
    host: '127.0.0.1',
    port: 0,
    connectionsMax: 10,
    timeouts,
    onRefused: (code) => refused.push(code),
  });
}

test('closes when a request that is answered late leaves a connection that would stay open', async () => {
  const held = Promise.withResolvers<ServerResponse>();
  const server = await serve((_request, response) => held.resolve(response));
  const answers = exchange(at(server), get);
  const response = await held.promise;
  const closed = server.close();
  // Past the moment in which connections that are idle already are closed.
  setTimeout(() => response.end('late'), 600);
  const [answer] = parseAnswers(await answers);
  assert.deepEqual([answer?.status, answer?.body], [200, 'late']);
  await closed;
});

test('refuses headers that are not there when it closes, and closes', async () => {
  const refused: string[] = [];
  const server = await serve(() => {}, { checkIntervalMs: 50 }, refused);
  const socket = await openSocket(at(server));
  socket.write('GET / HTTP/1.1\r\nHost: a\r\n');
  const text = readToEnd(socket);
  await server.close();
  const [answer] = parseAnswers(await text);
  assert.deepEqual([answer?.status, answer?.headers.get('connection')], [503, 'close']);
  assert.equal(JSON.parse(answer?.body ?? '').code, 'draining');
  assert.deepEqual(refused, ['draining']);
});

test('answers what is under way when it closes, although the next request is late', async () => {
  const held = Promise.withResolvers<ServerResponse>();
  const server = await serve((_request, response) => held.resolve(response), { checkIntervalMs: 50 });
  const socket = await openSocket(at(server));
  socket.write(`${get}GET / HTTP/1.1\r\n`);
  const text = readToEnd(socket);
  const response = await held.promise;
  const closed = server.close();
  // Long after the late one was found.
  setTimeout(() => response.end('late'), 600);
  await until(() => socket.bytesRead > 0);
  socket.end();
  assert.equal(parseAnswers(await text)[0]?.body, 'late');
  await closed;
});

test('cuts a request that is not answered in time when it closes', async () => {
  const arrived = Promise.withResolvers<void>();
  const options = { host: '127.0.0.1', port: 0, connectionsMax: 10, closeMs: 300 };
  const server = await listen(() => arrived.resolve(), options);
  const text = exchange(at(server), get);
  await arrived.promise;
  await server.close();
  assert.equal(await text, '');
});

test('discards a body that the listener does not read, so that it waits in no memory', async () => {
  const held = Promise.withResolvers<ServerResponse>();
  const server = await serve((_request, response) => held.resolve(response));
  const socket = await openSocket(at(server));
  const body = Buffer.alloc(200_000, 'x');
  socket.write(`GET / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n`);
  socket.write(body);
  const { req } = await held.promise;
  await until(() => req.complete);
  assert.equal(req.readableLength, 0);
  socket.destroy();
  await server.close();
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
    const server = await serve(() => assert.fail('the request was passed on'));
    const [answer] = parseAnswers(await exchange(at(server), request));
    assert.equal(answer?.status, status);
    assert.equal(JSON.parse(answer?.body ?? '').code, code);
    await server.close();
  });
}

const slow: [string, string, string][] = [
  ['says nothing', '', ''],
  ['sends a header line at a time', 'GET / HTTP/1.1\r\n', 'A: b\r\n'],
  ['sends a body byte by byte', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n', 'x'],
];
for (const [what, first, then] of slow) {
  test(`a client that ${what} is told 408 or cut off, in time`, async () => {
    const server = await serve(() => {}, { headersMs: 200, requestMs: 300, checkIntervalMs: 50 });
    const socket = await openSocket(at(server));
    socket.write(first);
    const dripping = setInterval(() => socket.write(then), 20);
    const text = await readToEnd(socket);
    clearInterval(dripping);
    if (text !== '') {
      const [answer] = parseAnswers(text);
      assert.equal(answer?.status, 408);
      assert.equal(JSON.parse(answer?.body ?? '').code, 'request_timeout');
    }
    await server.close();
  });
}

test('a connection without a request is closed without a word, and counts as none', async () => {
  const refused: string[] = [];
  const server = await serve(() => {}, { headersMs: 200, requestMs: 300, checkIntervalMs: 50 }, refused);
  const socket = await openSocket(at(server));
  assert.equal(await readToEnd(socket), '');
  assert.deepEqual(refused, []);
  const late = await openSocket(at(server));
  late.write('G');
  assert.match(await readToEnd(late), /^HTTP\/1\.1 408 /);
  assert.deepEqual(refused, ['request_timeout']);
  await server.close();
});

test('an answer that its client does not read is given up', async () => {
  const closed = Promise.withResolvers<void>();
  const server = await serve(
    (_request, response) => {
      response.once('close', closed.resolve);
      response.end(Buffer.alloc(64 * 1024 * 1024));
    },
    { stalledMs: 300 },
  );
  const socket = await openSocket(at(server));
  socket.pause();
  socket.write(get);
  await closed.promise;
  socket.destroy();
  await server.close();
});

test('answers 64 requests that one connection sends at once, in their order', async () => {
  let count = 0;
  const server = await serve((_request, response) => response.end(String(++count)));
  const answers = parseAnswers(await exchange(at(server), get.repeat(63) + last));
  assert.deepEqual(
    answers.map(({ body }) => Number(body)),
    Array.from({ length: 64 }, (_, index) => index + 1),
  );
  await server.close();
});

test('closes a connection on which a 65th request comes while 64 wait, and takes none of it on', async () => {
  let count = 0;
  const server = await serve(() => count++);
  assert.equal(await exchange(at(server), get.repeat(3_000)), '');
  assert.equal(count, 64);
  await server.close();
});

test('takes 100 header fields, and refuses more with 431', async () => {
  const server = await serve(answer);
  for (const [fields, status] of [
    [100, 200],
    [101, 431],
    [3_000, 431],
  ] as const) {
    const lines = 'a:b\r\n'.repeat(fields - 2);
    const text = await exchange(at(server), `GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${lines}\r\n`);
    assert.equal(parseAnswers(text)[0]?.status, status, String(fields));
  }
  await server.close();
});

test('a body that nobody reads ends its connection with the answer, unless it is short', async () => {
  const server = await serve(answer);
  for (const head of [
    'Content-Length: 262145',
    'Content-Length: 99999999999',
    'Transfer-Encoding: chunked',
  ]) {
    const [first, ...more] = parseAnswers(
      await exchange(at(server), `GET / HTTP/1.1\r\nHost: a\r\n${head}\r\n\r\n`),
    );
    assert.equal(first?.status, 200);
    assert.equal(first?.headers.get('connection'), 'close');
    assert.deepEqual(more, []);
  }
  const short = `GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab${last}`;
  assert.equal(parseAnswers(await exchange(at(server), short)).length, 2);
  await server.close();
});

test('every answer has the security headers, those to what is no HTTP too', async () => {
  const server = await serve(answer);
  for (const bytes of [
    last,
    'GET / HTTP/1.1\r\n\r\n',
    '\0\r\n\r\n',
    `GET / HTTP/1.1\r\nA: ${'x'.repeat(20_000)}`,
  ]) {
    const [{ headers } = { headers: new Map() }] = parseAnswers(await exchange(at(server), bytes));
    assert.equal(headers.get('cache-control'), 'no-store');
    assert.equal(headers.get('content-security-policy'), "default-src 'none'; frame-ancestors 'none'");
    assert.equal(headers.get('x-content-type-options'), 'nosniff');
    assert.equal(headers.get('x-powered-by'), undefined);
  }
  await server.close();
});
