import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createPubSub } from '@assessment/api/pubsub';
import { needs } from './programs.ts';
import { exchange, parseAnswers } from './raw-http.ts';
import { request } from './requests.ts';
import { type System, startSystem } from './system.ts';
import { until } from './until.ts';

const isoDate = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const idPattern = /^[0-9a-f]{24}$/;

describe('the way of a write', needs('mongodb'), () => {
  let system: System;
  let url: string;

  before(async () => {
    system = await startSystem();
    url = system.api.url;
  });
  after(() => system.stop());

  function post(body: unknown, headers: Record<string, string> = { 'content-type': 'application/json' }) {
    return request(`${url}/api/records`, {
      method: 'POST',
      headers,
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
  }

  async function stored(id: string) {
    return (
      await until(
        () => request(`${url}/api/records/${id}`),
        ({ status }) => status === 200,
      )
    ).body;
  }

  test('GET /api/data answers with five writes that are stored afterwards', async () => {
    const { status, body } = await request(`${url}/api/data`);
    assert.equal(status, 200);
    assert.equal(body.status, 'success');
    assert.match(body.timestamp, isoDate);
    assert.equal(body.reads.length, 5);
    assert.equal(new Set(body.writes).size, 5);
    for (const [index, id] of body.writes.entries()) {
      const document = await stored(id);
      assert.deepEqual(Object.keys(document), ['_id', 'type', 'index', 'payload', 'timestamp']);
      assert.equal(document.type, 'write');
      assert.equal(document.index, index);
      assert.match(document.payload, /^[0-9a-f]{512}$/);
      assert.equal(document.timestamp, body.timestamp);
    }
  });

  test('reads are ids of stored documents, and stats counts them', async () => {
    const { body } = await until(
      () => request(`${url}/api/data`),
      (answer) => answer.body.reads[0] !== null,
    );
    for (const id of body.reads) await stored(id);
    const stats = await until(
      () => request(`${url}/api/stats`),
      (answer) => answer.body.total_documents >= answer.body.accepted,
    );
    assert.equal(stats.status, 200);
    assert.equal(stats.body.accepted % 5, 0);
    assert.equal(typeof stats.body.pending, 'number');
    assert.equal(typeof stats.body.total_documents_age_seconds, 'number');
    assert.match(stats.body.timestamp, isoDate);
  });

  test('POST /api/records stores an object as it was sent', async () => {
    const document = { name: 'ü', nested: { list: [1, -1.5, null, true, ''] }, 'dotted.key': {} };
    const { status, body } = await post(document);
    assert.equal(status, 202);
    assert.equal(body.ids.length, 1);
    const record = await stored(body.ids[0]);
    assert.deepEqual(record, { _id: body.ids[0], type: 'record', document, timestamp: body.timestamp });
  });

  test('POST /api/records keeps keys of the language and of the driver as data', async () => {
    const text =
      '{"__proto__":{"a":1},"constructor":{"prototype":{"b":2}},"toBSON":1,"toJSON":2,"hasOwnProperty":3,"toString":[{"c":[[{}]]}]}';
    const { body } = await post(text);
    const record = await stored(body.ids[0]);
    assert.equal(JSON.stringify(record.document), text);
  });

  test('POST /api/records takes 100 objects and the largest body', async () => {
    const hundred = await post(Array(100).fill({ a: 1 }));
    assert.equal(hundred.status, 202);
    assert.equal(new Set(hundred.body.ids).size, 100);
    const overhead = JSON.stringify({ text: '' }).length;
    const largest = await post({ text: 'x'.repeat(256 * 1024 - overhead) });
    assert.equal(largest.status, 202);
    assert.equal((await stored(largest.body.ids[0])).document.text.length, 256 * 1024 - overhead);
  });

  test('POST /api/records refuses a body over the limit with 413', async () => {
    const overhead = JSON.stringify({ text: '' }).length;
    const { status, body } = await post({ text: 'x'.repeat(256 * 1024 - overhead + 1) });
    assert.equal(status, 413);
    assert.equal(body.code, 'payload_too_large');
  });

  const badBodies: [string, string, RegExp][] = [
    ['text that is no JSON', '{"a":', /body: must be valid JSON/],
    ['a number', '1', /body: must be an object/],
    ['an empty array', '[]', /1 to 100 objects, got 0/],
    ['an _id', '{"_id":"x"}', /body\._id: must be left out/],
    ['an operator', '{"a":{"$gt":""}}', /body\.a\.\$gt: /],
    [
      'a number that loses digits',
      '{"a":[1,10000000000000000000001]}',
      /body\.a\[1\]: must be a number that/,
    ],
    ['a number that loses its fraction', '{"a":4503599627370497.3}', /body\.a: must be a number that/],
    ['a number that becomes 0', '[{"a":4e-400}]', /\[0\]\.a: must be a number that/],
    ['a repeated key', '{"a":{"b":1,"b":2}}', /body\.a\.b: must not be repeated/],
  ];
  for (const [what, text, message] of badBodies) {
    test(`POST /api/records refuses ${what} with 400 that names the field`, async () => {
      const { status, body } = await post(text);
      assert.equal(status, 400);
      assert.equal(body.status, 'error');
      assert.equal(body.code, 'invalid_request');
      assert.match(body.message, message);
    });
  }

  test('POST /api/records refuses an empty body with 400, whether its length is given or not', async () => {
    const json = { 'content-type': 'application/json' };
    assert.match((await post('', json)).body.message, /body: must be JSON, got nothing/);
    const chunked = await request(`${url}/api/records`, {
      method: 'POST',
      headers: json,
      body: new ReadableStream({ start: (controller) => controller.close() }),
      duplex: 'half',
    } as RequestInit);
    assert.equal(chunked.status, 400);
    const head = 'POST /api/records HTTP/1.1\r\nHost: a\r\nConnection: close\r\n';
    const [none] = parseAnswers(await exchange(url, `${head}Content-Type: application/json\r\n\r\n`));
    assert.equal(none?.status, 400);
    assert.match(none?.body ?? '', /body: must be JSON, got nothing/);
  });

  test('POST /api/records takes a body that grows to six times its size as BSON', async () => {
    const text = `{"a":[${Array(131_000).fill(1).join(',')}]}`;
    const { status, body } = await post(text);
    assert.equal(status, 202);
    assert.equal(JSON.stringify((await stored(body.ids[0])).document), text);
  });

  test('POST /api/records refuses what is not called JSON with 415', async () => {
    assert.equal((await post('{}', { 'content-type': 'text/plain' })).status, 415);
    const latin = await post('{}', { 'content-type': 'application/json; charset=latin1' });
    assert.equal(latin.status, 415);
  });

  test('GET /api/records/:id says 404 for an id that is not stored and 400 for what is no id', async () => {
    assert.equal((await request(`${url}/api/records/${'0'.repeat(24)}`)).status, 404);
    for (const id of ['abc', '0'.repeat(25), 'g'.repeat(24), '%00', '[object Object]']) {
      const { status, body } = await request(`${url}/api/records/${encodeURI(id)}`);
      assert.equal(status, 400, id);
      assert.match(body.message, /^id: must be 24 hexadecimal digits/);
    }
    assert.equal((await request(`${url}/api/records/%E0%A4%A`)).status, 400);
  });

  test('an unknown path is 404 and a wrong method 405, in the error shape', async () => {
    for (const path of ['/nope', '/api', '/api/data/x']) {
      const { status, body } = await request(url + path);
      assert.equal(status, 404, path);
      assert.equal(body.status, 'error');
    }
    for (const [method, path, allow] of [
      ['POST', '/api/data', 'GET'],
      ['HEAD', '/api/data', 'GET'],
      ['HEAD', '/dashboard/events', 'GET'],
      ['DELETE', '/api/records', 'POST'],
      ['PUT', '/healthz', 'GET, HEAD'],
    ]) {
      const answer = await request(url + path, { method: method ?? '' });
      assert.equal(answer.status, 405, `${method} ${path}`);
      assert.equal(answer.headers.get('allow'), allow);
    }
  });

  test('health, readiness and metrics answer', async () => {
    for (const [path, status] of [
      ['/healthz', 'ok'],
      ['/servez', 'ok'],
      ['/readyz', 'ready'],
    ]) {
      const answer = await request(url + path);
      assert.equal(answer.status, 200);
      assert.equal(answer.body.status, status);
      assert.match(answer.body.timestamp, isoDate);
    }
    const metrics = await (await fetch(`${url}/metrics`)).text();
    assert.match(metrics, /^api_writes_confirmed_total \d+$/m);
    assert.match(metrics, /^api_reader_cache_age_seconds [\d.]+$/m);
  });

  const noHttp: [string, string, number, string][] = [
    ['what is no HTTP', '\0\x01garbage\r\n\r\n', 400, 'invalid_request'],
    ['headers over 16 KiB', `GET / HTTP/1.1\r\nA: ${'x'.repeat(17_000)}\r\n\r\n`, 431, 'headers_too_large'],
  ];
  for (const [what, text, status, code] of noHttp) {
    test(`${what} gets ${status} in the error shape, and the api goes on`, async () => {
      const [answer] = parseAnswers(await exchange(url, text));
      assert.equal(answer?.status, status);
      assert.equal(JSON.parse(answer?.body ?? '').code, code);
      assert.equal((await request(`${url}/healthz`)).status, 200);
    });
  }

  test('garbage behind a request takes its answer away, but never turns it into a refusal', async () => {
    const answer = await exchange(url, 'GET /api/data HTTP/1.1\r\nHost: a\r\n\r\n\0garbage\r\n\r\n');
    assert.equal(answer, '');
  });

  test('an unreadable envelope goes to the dead-letter topic with its reason, and others are stored', async () => {
    process.env.PUBSUB_EMULATOR_HOST = system.broker.host;
    const pubsub = createPubSub({
      PUBSUB_PROJECT_ID: 'assessment-project',
      PUBSUB_EMULATOR_HOST: system.broker.host,
    });
    const letters = pubsub.subscription('writes-dead-letter-audit');
    const letter = Promise.withResolvers<{ data: Buffer; attributes: Record<string, string> }>();
    letters.on('message', (message) => {
      message.ack();
      letter.resolve(message);
    });
    try {
      const id = await pubsub.topic('writes').publishMessage({ data: Buffer.from('no envelope') });
      const { body } = await request(`${url}/api/data`);
      const { data, attributes } = await letter.promise;
      assert.equal(data.toString(), 'no envelope');
      assert.match(attributes.reason ?? '', /not a BSON document/);
      assert.equal(attributes.messageId, id);
      assert.equal(attributes.subscription, 'writes-writer');
      assert.match(attributes.publishTime ?? '', /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
      for (const write of body.writes) {
        assert.match(write, idPattern);
        await stored(write);
      }
    } finally {
      await letters.close();
      await pubsub.close();
    }
  });
});
