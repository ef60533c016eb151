/**
 * Nonsense, floods and slow clients on the port of a real api: it stays up, answers the others, never with 500 and
 * never with a stack, and its memory stays within a bound. Everything is sent to loopback, in fixed numbers.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { memoryBytes } from '../../stress-test/memory.ts';
import { needs } from '../../test/programs.ts';
import { exchange, openSocket, parseAnswers, type RawAnswer, readToEnd } from '../../test/raw-http.ts';
import { request } from '../../test/requests.ts';
import { type System, startSystem } from '../../test/system.ts';
import { until } from '../../test/until.ts';

/** The least that it may be: some 270 requests of GET /api/data. */
const requestBytesMax = 4 * 1024 * 1024;
/** What one connection may take of the api's memory, measured at 8 to 13 kB. */
const connectionBytesMax = 24_000;
/** What its pod may take, and the heap that Node gives itself there: without that limit V8 lets it grow under a flood. */
const memoryBytesMax = 512 * 1024 * 1024;
const heapMebibytesMax = 256;
/** Of a file, a function or a module of the api. */
const traces = /node_modules|node:internal|\.ts\b|file:\/\/|\n\s+at |127\.0\.0\.1:/;

/** Of two numbers as JSON writes them. */
function isSameDecimal(one: string, other: string): boolean {
  const parts = [one, other].map((text) => {
    const [mantissa = '', exponent = '0'] = text.toLowerCase().split('e');
    const [whole = '', fraction = ''] = mantissa.split('.');
    return { digits: BigInt(whole + fraction), exponent: Number(exponent) - fraction.length };
  });
  const least = Math.min(...parts.map(({ exponent }) => exponent));
  const [first, second] = parts.map(({ digits, exponent }) => digits * 10n ** BigInt(exponent - least));
  return first === second;
}

describe('abuse of the api', needs('mongodb'), () => {
  let system: System;
  let url: string;

  before(async () => {
    system = await startSystem({
      REQUEST_BYTES_MAX: String(requestBytesMax),
      NODE_OPTIONS: `--max-old-space-size=${heapMebibytesMax}`,
    });
    url = system.api.url;
    await serves();
  });
  after(() => system.stop());

  function rssAnonBytes(): number {
    return memoryBytes(system.api.pid(), 'RssAnon');
  }

  /** Another client is served, reads and writes. */
  async function serves(): Promise<void> {
    const headers = { connection: 'close' };
    assert.equal((await request(`${url}/api/data`, { headers })).status, 200);
  }

  /** Nobody's request holds a place any longer. */
  async function isIdle(): Promise<void> {
    await until(
      async () => (await fetch(`${url}/metrics`, { headers: { connection: 'close' } })).text(),
      (metrics) => /^api_requests_in_flight 0$/m.test(metrics),
    );
  }

  function isGoodAnswer({ status, headers, body }: RawAnswer, method = ''): void {
    assert.ok(status !== 500, body);
    assert.doesNotMatch(body, traces);
    assert.equal(headers.get('x-content-type-options'), 'nosniff');
    if (status < 400 || method === 'HEAD') return;
    const answer = JSON.parse(Buffer.from(body, 'latin1').toString());
    assert.equal(answer.status, 'error');
    assert.equal(typeof answer.code, 'string');
    assert.equal(typeof answer.message, 'string');
  }

  const post = (body: string | Buffer, head = '') =>
    Buffer.concat([
      Buffer.from(
        `POST /api/records HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n${head}` +
          `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n`,
      ),
      Buffer.from(body),
    ]);

  async function answerTo(bytes: string | Buffer): Promise<RawAnswer> {
    const [answer] = parseAnswers(await exchange(url, bytes));
    assert.ok(answer);
    isGoodAnswer(answer);
    return answer;
  }

  const token = fc.stringMatching(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,30}$/);
  /** Of a header: all bytes but those that end it. */
  const value = fc
    .uint8Array({ maxLength: 200 })
    .map((bytes) => Buffer.from(bytes.filter((byte) => byte !== 10 && byte !== 13)).toString('latin1'));
  const path = fc.oneof(
    fc.constantFrom(
      '/api/data',
      '/api/stats',
      '/api/records',
      '/healthz',
      '/servez',
      '/readyz',
      '/metrics',
      '/',
      '*',
    ),
    fc.stringMatching(/^\/api\/records\/[0-9a-fA-F%]{0,60}$/),
    fc.stringMatching(/^\/[!-~]{0,100}$/),
    fc.webPath().map((text) => text || '/'),
  );
  const target = fc.tuple(path, fc.stringMatching(/^(\?[!-~]{0,60})?$/)).map(([text, query]) => text + query);
  const headers = fc.array(
    fc.tuple(
      fc.oneof(
        token,
        fc.constantFrom(
          ...[
            'Content-Type',
            'Content-Encoding',
            'Authorization',
            'Expect',
            'Upgrade',
            'Connection',
            'Accept',
          ],
          ...[
            'X-Forwarded-For',
            'X-HTTP-Method-Override',
            'Origin',
            'Cookie',
            'Range',
            'If-None-Match',
            'TE',
          ],
          ...['__proto__', 'constructor'],
        ),
      ),
      value,
    ),
    { maxLength: 20 },
  );

  test('any method, target and headers get an answer in the shape of every other', async () => {
    const method = fc.oneof(
      fc.constantFrom(
        'GET',
        'HEAD',
        'POST',
        'PUT',
        'PATCH',
        'DELETE',
        'OPTIONS',
        'TRACE',
        'PROPFIND',
        'QUERY',
      ),
      token,
    );
    await fc.assert(
      fc.asyncProperty(method, target, headers, async (verb, where, fields) => {
        const lines = fields.map(([name, text]) => `${name}: ${text}\r\n`).join('');
        const bytes = `${verb} ${where} HTTP/1.1\r\nHost: a\r\n${lines}Connection: close\r\n\r\n`;
        const text = await exchange(url, Buffer.from(bytes, 'latin1'));
        for (const answer of parseAnswers(text, [verb])) isGoodAnswer(answer, verb);
      }),
      { numRuns: 1_000 },
    );
    await serves();
  });

  test('any bytes get an answer to what is no HTTP, or none, and the api goes on', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 2_000 }), async (bytes) => {
        const text = await exchange(url, Buffer.concat([bytes, Buffer.from('\r\n\r\n')]));
        for (const answer of parseAnswers(text)) isGoodAnswer(answer);
      }),
      { numRuns: 300 },
    );
    await serves();
  });

  test('any JSON is stored as it was sent, or refused with a reason', async () => {
    const key = fc.oneof(
      fc.string(),
      fc.string({ unit: 'binary' }),
      fc.constantFrom(
        ...[
          '__proto__',
          'constructor',
          'prototype',
          'toString',
          'toJSON',
          'toBSON',
          '_id',
          '_bsontype',
          'then',
        ],
        ...['$where', '$gt', '$ref', '$oid', '$set', 'a.b', '', '\0'],
      ),
    );
    const { json } = fc.letrec((tie) => ({
      json: fc.oneof(
        { depthSize: 'small' },
        fc.jsonValue(),
        fc.double(),
        fc.bigInt().map(Number),
        fc.array(tie('json'), { maxLength: 5 }),
        fc.dictionary(key, tie('json'), { maxKeys: 5 }),
      ),
    }));
    const stored = new Map<string, string>();
    await fc.assert(
      fc.asyncProperty(json, async (document) => {
        const text = JSON.stringify(document);
        const { status, body } = await answerTo(post(text));
        assert.ok(status === 202 || status === 400, String(status));
        if (status !== 202) return;
        const documents = [JSON.parse(text)].flat();
        for (const [at, id] of JSON.parse(body).ids.entries()) stored.set(id, JSON.stringify(documents[at]));
      }),
      { numRuns: 1_000 },
    );
    for (const [id, text] of [...stored].slice(-200)) {
      const { body } = await until(
        () => request(`${url}/api/records/${id}`),
        ({ status }) => status === 200,
      );
      assert.equal(JSON.stringify(body.document), text);
    }
    assert.equal(({} as { polluted?: unknown }).polluted, undefined);
  });

  test('any number is read back with the decimal value that was sent, or refused', async () => {
    const number = fc.oneof(
      fc.stringMatching(/^-?(0|[1-9]\d{0,24})(\.\d{1,24})?([eE][+-]?\d{1,3})?$/),
      fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
      fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value.toExponential(20)),
    );
    const stored = new Map<string, string>();
    await fc.assert(
      fc.asyncProperty(number, async (text) => {
        const { status, body } = await answerTo(post(`{"a":${text}}`));
        assert.ok(status === 202 || /^body\.a: must be a number that/.test(JSON.parse(body).message), text);
        if (status === 202) stored.set(JSON.parse(body).ids[0], text);
      }),
      { numRuns: 1_000 },
    );
    for (const [id, text] of [...stored].slice(-300)) {
      const answer = await until(
        () => fetch(`${url}/api/records/${id}`),
        ({ status }) => status === 200,
      );
      const [, readBack = ''] = /"document":\{"a":([^}]+)\}/.exec(await answer.text()) ?? [];
      assert.ok(isSameDecimal(readBack, text), `${text} is read back as ${readBack}`);
    }
  });

  test('any body, type and encoding is taken or refused, never a fault', async () => {
    const type = fc.constantFrom('application/json', 'application/json; charset=utf-16', 'text/plain', '');
    const encoding = fc.constantFrom('identity', 'gzip', 'deflate', 'br', 'zstd', 'x', 'gzip, gzip');
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 500 }), type, encoding, async (body, contentType, how) => {
        const head = `POST /api/records HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: ${contentType}\r\n`;
        const rest = `Content-Encoding: ${how}\r\nContent-Length: ${body.length}\r\n\r\n`;
        const { status } = await answerTo(Buffer.concat([Buffer.from(head + rest), body]));
        assert.ok([202, 400, 415].includes(status), String(status));
      }),
      { numRuns: 500 },
    );
  });

  test('bytes that are no UTF-8, and other charsets, are refused and not replaced', async () => {
    for (const bytes of [[0xff], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x82]]) {
      const { status, body } = await answerTo(
        post(Buffer.concat([Buffer.from('{"a":"'), Buffer.from(bytes), Buffer.from('"}')])),
      );
      assert.equal(status, 400);
      assert.match(body, /body: must be valid UTF-8\./);
    }
    for (const charset of ['utf-16', 'utf-16be', 'utf-7', 'utf-32', 'iso-8859-1', 'nonsense']) {
      const { status } = await request(`${url}/api/records`, {
        method: 'POST',
        headers: { 'content-type': `application/json; charset=${charset}` },
        body: '{}',
      });
      assert.equal(status, 415, charset);
    }
  });

  test('a body that grows over the limit when it is unpacked is refused', async () => {
    const bomb = gzipSync(Buffer.alloc(100 * 1024 * 1024, ' '));
    const { status } = await answerTo(post(bomb, 'Content-Encoding: gzip\r\n'));
    assert.equal(status, 413);
    await serves();
  });

  for (const [what, head] of [
    ['its length given', 'Content-Length: 10737418240\r\n\r\n'],
    ['in chunks without an end', 'Transfer-Encoding: chunked\r\n\r\n'],
  ] as const) {
    test(`a body of 10 GiB, ${what}, is cut off after a few MiB`, async () => {
      const socket = await openSocket(url);
      const ended = readToEnd(socket);
      socket.write(`POST /api/records HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n${head}`);
      const piece = Buffer.alloc(64 * 1024, 'x');
      const chunk = head.startsWith('T')
        ? Buffer.concat([Buffer.from('10000\r\n'), piece, Buffer.from('\r\n')])
        : piece;
      let sent = 0;
      for (; sent < 10_737_418_240 && !socket.destroyed && socket.writable; sent += piece.length) {
        if (!socket.write(chunk)) await Promise.race([once(socket, 'drain'), ended]).catch(() => {});
      }
      const text = await ended;
      if (text !== '') assert.equal(parseAnswers(text)[0]?.status, 413);
      // What the kernel holds on both sides of a connection comes on top.
      assert.ok(sent < 64 * 1024 * 1024, String(sent));
      await isIdle();
    });
  }

  test('100,000 headers are refused, or their connection is closed', async () => {
    const text = await exchange(url, `GET /api/data HTTP/1.1\r\nHost: a\r\n${'a:b\r\n'.repeat(100_000)}\r\n`);
    if (text !== '') assert.equal(parseAnswers(text)[0]?.status, 431);
    await serves();
  });

  test('clients that send requests and read no answer take no places from the others', async () => {
    const requests = 'GET /api/data HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(5_000);
    const sockets = await Promise.all(Array.from({ length: 50 }, () => openSocket(url)));
    for (const socket of sockets) {
      socket.pause();
      socket.write(requests);
    }
    await until(
      () => request(`${url}/api/data`, { headers: { connection: 'close' } }),
      ({ status }) => status === 200,
    );
    await isIdle();
    for (const socket of sockets) socket.destroy();
  });

  for (const [what, head, body] of [
    ['most of a body', 'Content-Length: 262144', 'x'.repeat(262_000)],
    ['a body in pieces of one byte', 'Transfer-Encoding: chunked', '1\r\nx\r\n'.repeat(2_000)],
    ['a body to a path that reads none', 'Content-Length: 262144', 'x'.repeat(262_000)],
  ] as const) {
    test(`clients that send ${what} and stop hold little, and others go on reading and writing`, async () => {
      // Less than half of what they send; what the collector has not taken yet counts as well.
      const [clients, growthMax] = [1_000, 128 * 1024 * 1024];
      const path = what.includes('path') ? 'GET /api/data' : 'POST /api/records';
      const text = `${path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n${head}\r\n\r\n${body}`;
      const before = rssAnonBytes();
      const answers: Promise<string>[] = [];
      const sockets: Socket[] = [];
      for (let client = 0; client < clients; client++) {
        const socket = await openSocket(url);
        sockets.push(socket);
        answers.push(readToEnd(socket));
        if (!socket.write(text)) await Promise.race([once(socket, 'drain'), once(socket, 'close')]);
        if (client % 100 !== 99) continue;
        await serves();
        const post = { method: 'POST', headers: { 'content-type': 'application/json', connection: 'close' } };
        const { status } = await request(`${url}/api/records`, {
          ...post,
          body: JSON.stringify({ text: 'y'.repeat(200_000) }),
        });
        assert.equal(status, 202);
        assert.ok(rssAnonBytes() - before < growthMax, `${rssAnonBytes() - before} bytes more`);
      }
      const held = await fetch(`${url}/metrics?name=api_request_bytes`, { headers: { connection: 'close' } });
      const bytes = Number(/^api_request_bytes (\d+)$/m.exec(await held.text())?.[1]);
      assert.ok(bytes <= requestBytesMax, String(bytes));
      for (const socket of sockets) socket.destroy();
      const refused = (await Promise.all(answers)).filter((answer) => answer.startsWith('HTTP/1.1 503'));
      if (path.startsWith('POST')) assert.ok(refused.length > clients / 2, `${refused.length} were refused`);
      for (const answer of refused) {
        assert.match(answer, /\r\nRetry-After: 1\r\n/);
        assert.match(answer, /"code":"overloaded"/);
      }
      await isIdle();
    });
  }

  test('10,000 idle connections take no more memory than they may, however often', async () => {
    async function openAll(): Promise<Socket[]> {
      const sockets: Socket[] = [];
      while (sockets.length < 10_000) {
        sockets.push(...(await Promise.all(Array.from({ length: 500 }, () => openSocket(url)))));
      }
      return sockets;
    }
    const before = rssAnonBytes();
    for (let round = 0; round < 3; round++) {
      const sockets = await openAll();
      const last = sockets.at(-1) as Socket;
      last.write('GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n');
      await once(last, 'data');
      await serves();
      const growth = rssAnonBytes() - before;
      assert.ok(growth < 10_000 * connectionBytesMax, String(growth));
      for (const socket of sockets) socket.destroy();
      await serves();
    }
  });

  test('the metrics are asked for by their names alone, also by a name that every object has', async () => {
    for (const name of ['constructor', 'toString', '__proto__', 'hasOwnProperty', 'valueOf']) {
      const [answer] = parseAnswers(
        await exchange(url, `GET /metrics?name=${name} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`),
      );
      assert.deepEqual([answer?.status, answer?.body], [200, ''], name);
    }
    const many = 'name=api_requests_total&'.repeat(500);
    const text = await (await fetch(`${url}/metrics?${many}name=constructor`)).text();
    assert.equal(text.match(/^api_requests_total /gm)?.length, 1);
  });

  test('the metrics name nothing that came from outside, so that their number does not grow', async () => {
    const metrics = await (await fetch(`${url}/metrics`)).text();
    const labels = new Set(
      [...metrics.matchAll(/ ?(?:route|code|reason|outcome)="([^"]*)"/g)].map(([, label]) => label),
    );
    for (const label of labels) assert.match(label ?? '', /^[a-z_]+$/);
    assert.ok(labels.size < 40, [...labels].join());
    assert.doesNotMatch(metrics, /[0-9a-f]{24}/);
  });

  test('all of it left no request in flight, no fault in the log and no growth', async () => {
    await isIdle();
    await serves();
    assert.doesNotMatch(system.api.output(), /"level":(50|60)/);
    assert.ok(rssAnonBytes() < memoryBytesMax, String(rssAnonBytes()));
  });
});
