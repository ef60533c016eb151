/** A real api that is told to end while clients are slow: it ends by itself, in time, with everything closed. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  type Broker,
  type MongoDb,
  startApi,
  startEmulator,
  startMongoDb,
  startWriter,
} from '../../test/parts.ts';
import { needs } from '../../test/programs.ts';
import { openSocket, parseAnswers, readToEnd } from '../../test/raw-http.ts';
import { request } from '../../test/requests.ts';
import { until } from '../../test/until.ts';

const headOf = (length: number) =>
  `POST /api/records HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n`;

describe('a drain', needs('mongodb'), () => {
  const parts = new AsyncDisposableStack();
  let mongoDb: MongoDb;
  let broker: Broker;

  before(async () => {
    mongoDb = parts.use(await startMongoDb());
    broker = parts.use(await startEmulator());
  });
  after(() => parts.disposeAsync());

  /** SIGTERM, and what came of it. */
  async function drain(api: Awaited<ReturnType<typeof startApi>>) {
    process.kill(api.pid(), 'SIGTERM');
    assert.equal(await api.exited(), 0, api.output());
    assert.match(api.output(), /"msg":"drained"/);
    assert.doesNotMatch(api.output(), /killed by timeout/);
  }

  test('refuses requests whose bodies have not arrived, and ends with 0', async () => {
    await using api = await startApi({ mongoDb, broker });
    const slow = ['', '{"a":', `{"a":"${'x'.repeat(200_000)}`].map(async (begun) => {
      const socket = await openSocket(api.url);
      socket.write(headOf(262_144) + begun);
      // A byte now and then, as from a phone without a signal.
      const dripping = setInterval(() => socket.write(' '), 50);
      socket.once('close', () => clearInterval(dripping));
      return readToEnd(socket);
    });
    await until(
      async () => (await fetch(`${api.url}/metrics?name=api_requests_in_flight`)).text(),
      (text) => /^api_requests_in_flight 3$/m.test(text),
    );
    await drain(api);
    for (const text of slow) {
      const [answer] = parseAnswers(await text);
      assert.equal(answer?.status, 503);
      assert.equal(JSON.parse(answer?.body ?? '').code, 'draining');
      assert.equal(answer?.headers.get('connection'), 'close');
      assert.ok(answer?.headers.get('retry-after'));
    }
  });

  test('refuses headers that trickle in, and ends with 0', async () => {
    await using api = await startApi({ mongoDb, broker });
    const socket = await openSocket(api.url);
    const text = readToEnd(socket);
    socket.write('GET /api/data HTTP/1.1\r\n');
    const dripping = setInterval(() => socket.write('a: b\r\n'), 50);
    socket.once('close', () => clearInterval(dripping));
    await drain(api);
    const [answer] = parseAnswers(await text);
    assert.deepEqual([answer?.status, JSON.parse(answer?.body ?? '').code], [503, 'draining']);
  });

  test('cuts a client that does not read its answers, and ends with 0', async () => {
    await using writer = await startWriter({ mongoDb, broker });
    await using api = await startApi({ mongoDb, broker, env: { DRAIN_TIMEOUT_MS: '4000' } });
    const { body } = await request(`${api.url}/api/records`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ text: 'x'.repeat(260_000) }),
    });
    const path = `/api/records/${body.ids[0]}`;
    await until(
      () => request(api.url + path),
      ({ status }) => status === 200,
    );
    const socket = await openSocket(api.url);
    socket.pause();
    // 16 MB of answers: more than the kernel takes on both sides.
    socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`.repeat(64));
    await until(
      async () => (await fetch(`${api.url}/metrics?name=api_http_request_duration_seconds`)).text(),
      (text) => /_count\{route="record",status="200"\} (?:[3-9]|\d\d)$/m.test(text),
    );
    await drain(api);
    socket.destroy();
    await writer.stop();
  });
});
