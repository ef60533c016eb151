import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { test } from 'node:test';
import { createAdmission } from '../src/admission.ts';
import { Budget, requestBytes } from '../src/budget.ts';

const uncounted = new Set(['/healthz']);

/** @param inFlightMax requests that there is room for */
const limits = (inFlightMax: number) => ({
  budget: new Budget(inFlightMax * requestBytes),
  refusalsMax: 1_000,
  uncounted,
});

test('refuses over the bound in any spelling of a path, answers health, and takes requests again below it', async () => {
  const held: ServerResponse[] = [];
  const refused: string[] = [];
  let arrived = 0;
  const admission = createAdmission(
    (request, response) => {
      if (request.url?.startsWith('/healthz')) response.end();
      else held.push(response);
    },
    { ...limits(2), onRequest: () => arrived++, onRefused: ({ code }) => refused.push(code) },
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
      ...limits(inFlightMax),
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
  const admission = createAdmission((request, response) => {
    begun.push(request.url ?? '');
    response.end();
  }, limits(2));
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

test('keeps the connection of a client that is refused and comes again at once, as that of an ingress', async () => {
  const admission = createAdmission(() => {}, limits(0));
  await using server = createServer(admission.listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  for (let asked = 0; asked < 100; asked++) {
    socket.write('GET /api/data HTTP/1.1\r\nHost: a\r\n\r\n');
    const [answer] = await once(socket, 'data');
    assert.match(String(answer), /^HTTP\/1\.1 503 [\s\S]*Retry-After: 1\r\n[\s\S]*Connection: keep-alive/);
  }
  socket.destroy();
});

test('goes on beginning and answering while clients that are refused come again at once', async () => {
  const [inFlightMax, clients, answersWanted] = [4, 300, 200];
  let answered = 0;
  let refused = 0;
  const enough = Promise.withResolvers<void>();
  const admission = createAdmission(
    (_request, response) => {
      // As one that the broker confirms: answered in a later turn of the loop.
      setImmediate(() => {
        response.end('ok');
        answered++;
        if (answered === answersWanted) enough.resolve();
      });
    },
    { ...limits(inFlightMax), onRefused: () => refused++ },
  );
  await using server = createServer(admission.listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const sockets = Array.from({ length: clients }, () => {
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    const ask = () => socket.write('GET /api/data HTTP/1.1\r\nHost: a\r\n\r\n');
    ask();
    return socket.on('error', () => {}).on('data', ask);
  });
  await enough.promise;
  assert.ok(refused > 0);
  for (const socket of sockets) socket.destroy();
});

test('closes a connection whose refusal is one more than may wait', async () => {
  const admission = createAdmission(() => {}, { ...limits(0), refusalsMax: 10 });
  await using server = createServer(admission.listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const get = 'GET /api/data HTTP/1.1\r\nHost: a\r\n\r\n';
  for (const [asked, answersWanted] of [
    [10, 10],
    [11, 0],
  ] as const) {
    const socket = connect(port, '127.0.0.1').on('error', () => {});
    let text = '';
    socket.on('data', (piece) => {
      text += piece;
      if (text.split('HTTP/1.1 503').length > asked) socket.end();
    });
    socket.write(get.repeat(asked));
    await once(socket, 'close');
    assert.equal(text.split('HTTP/1.1 503').length - 1, answersWanted);
  }
});
