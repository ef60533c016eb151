import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { test } from 'node:test';
import { createAdmission } from '../src/admission.ts';

const uncounted = new Set(['/healthz']);

test('refuses over the bound in any spelling of a path, answers health, and takes requests again below it', async () => {
  const held: ServerResponse[] = [];
  const refused: string[] = [];
  let arrived = 0;
  const admission = createAdmission(
    (request, response) => {
      if (request.url?.startsWith('/healthz')) response.end();
      else held.push(response);
    },
    { inFlightMax: 2, uncounted, onRequest: () => arrived++, onRefused: ({ code }) => refused.push(code) },
  );
  await using server = createServer(admission.listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const first = fetch(`${url}/api/data`);
  const second = fetch(`${url}/api/data`);
  while (held.length < 2) await new Promise(setImmediate);
  for (const path of ['/api/data', '/api/data?x', '/API/data', '//api/data', '//healthz', '/Healthz']) {
    const answer = await fetch(url + path);
    assert.equal(answer.status, 503, path);
    assert.equal(answer.headers.get('retry-after'), '1');
    assert.equal(((await answer.json()) as { code: string }).code, 'overloaded');
  }
  for (const path of ['/healthz', '/healthz?x', '/healthz?']) {
    assert.equal((await fetch(url + path)).status, 200, path);
  }
  assert.equal(refused.length, 6);
  for (const response of held.splice(0)) response.end();
  await Promise.all([(await first).text(), (await second).text()]);
  while (admission.inFlight() > 0) await new Promise(setImmediate);
  const third = fetch(`${url}/api/data`);
  while (held.length < 1) await new Promise(setImmediate);
  held[0]?.end();
  assert.equal((await third).status, 200);
  assert.equal(arrived, 3 + refused.length);
});

test('refuses what is over the bound before it has begun all that is below it, and begins that in its order', async () => {
  const [inFlightMax, over] = [300, 50];
  const begun: string[] = [];
  let refusals = 0;
  let begunAtFirstRefusal = Number.NaN;
  const admission = createAdmission(
    (request, response) => {
      begun.push(request.url ?? '');
      // As a request does that costs something: all of them together take far longer than a turn may.
      const endAt = performance.now() + 2;
      while (performance.now() < endAt);
      response.end();
    },
    {
      inFlightMax,
      uncounted,
      onRefused() {
        refusals++;
        if (refusals === 1) begunAtFirstRefusal = begun.length;
      },
    },
  );
  await using server = createServer(admission.listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  // One connection, so that their order is known; its answers come in it as well.
  const paths = Array.from({ length: inFlightMax + over }, (_, number) => `/${number}`);
  const socket = connect(port, '127.0.0.1');
  socket.write(paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`).join(''));
  socket.resume();
  while (begun.length + refusals < paths.length) await new Promise(setImmediate);
  socket.destroy();
  assert.equal(refusals, over);
  assert.ok(begunAtFirstRefusal < inFlightMax, `${begunAtFirstRefusal} had begun`);
  assert.deepEqual(begun, paths.slice(0, inFlightMax));
});

test('does not begin the request of a client that is gone', async () => {
  const begun: string[] = [];
  const admission = createAdmission(
    (request, response) => {
      begun.push(request.url ?? '');
      response.end();
    },
    { inFlightMax: 2, uncounted },
  );
  const gone = createServer((request, response) => {
    admission.listener(request, response);
    response.destroy();
  });
  await using server = gone.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await assert.rejects(fetch(`${url}/api/data`));
  while (admission.inFlight() > 0) await new Promise(setImmediate);
  await new Promise(setImmediate);
  assert.deepEqual(begun, []);
});

test('keeps the connection of a client that is refused once, and closes it when it comes again too early', async () => {
  const admission = createAdmission(() => {}, { inFlightMax: 0, uncounted });
  await using server = createServer(admission.listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const request = 'GET /api/data HTTP/1.1\r\nHost: a\r\n\r\n';
  socket.write(request);
  const [first] = await once(socket, 'data');
  assert.match(String(first), /^HTTP\/1\.1 503 [\s\S]*Connection: keep-alive/);
  socket.write(request);
  const [second] = await once(socket, 'data');
  assert.match(String(second), /^HTTP\/1\.1 503 [\s\S]*Retry-After: 1\r\n[\s\S]*Connection: close/);
  await once(socket, 'end');
});
