/** Every way in which a request is refused counts, once, by its code. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type NodeProcess, startApi, startEmulator, startMongoDb } from '../../test/parts.ts';
import { needs } from '../../test/programs.ts';
import { exchange, parseAnswers } from '../../test/raw-http.ts';
import { until } from '../../test/until.ts';

describe('a refusal', needs('mongodb'), () => {
  const parts = new AsyncDisposableStack();
  let api: NodeProcess;

  before(async () => {
    const mongoDb = parts.use(await startMongoDb());
    const broker = parts.use(await startEmulator());
    api = parts.use(await startApi({ mongoDb, broker }));
  });
  after(() => parts.disposeAsync());

  async function refusals(): Promise<Record<string, number>> {
    const text = await (await fetch(`${api.url}/metrics?name=api_requests_refused_total`)).text();
    const counts = text.matchAll(/^api_requests_refused_total\{code="(\w+)"\} (\d+)$/gm);
    return Object.fromEntries([...counts].map(([, code, count]) => [code, Number(count)]));
  }

  const end = 'HTTP/1.1\r\nHost: a\r\nConnection: close\r\n';
  const chunk = 'x'.repeat(64 * 1024);
  for (const [what, bytes, code] of [
    ['of an unknown path', `GET /nothing ${end}\r\n`, 'not_found'],
    ['of a method', `DELETE /api/data ${end}\r\n`, 'method_not_allowed'],
    ['of a method of health', `POST /healthz ${end}\r\n`, 'method_not_allowed'],
    ['of an id', `GET /api/records/none ${end}\r\n`, 'invalid_request'],
    ['of an expectation', `GET / ${end}Expect: gifts\r\n\r\n`, 'expectation_failed'],
    ['without a Host', 'GET / HTTP/1.1\r\n\r\n', 'invalid_request'],
    ['of too many headers', `GET / ${end}${'a:b\r\n'.repeat(101)}\r\n`, 'headers_too_large'],
    ['of too large headers', `GET / ${end}a: ${'b'.repeat(20_000)}`, 'headers_too_large'],
    ['of what is no HTTP', '\0\r\n\r\n', 'invalid_request'],
    [
      'of a body whose length is too large',
      `POST /api/records ${end}Content-Type: application/json\r\nContent-Length: 99999999\r\n\r\n`,
      'payload_too_large',
    ],
    [
      'of a body that becomes too large',
      `POST /api/records ${end}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n` +
        `10000\r\n${chunk}\r\n`.repeat(33),
      'payload_too_large',
    ],
  ] as const) {
    test(`${what} counts once`, async () => {
      const before = await refusals();
      const text = await exchange(api.url, bytes);
      // A connection that ends before all of a body is read may lose its answer.
      if (text !== '') assert.equal(JSON.parse(parseAnswers(text)[0]?.body ?? '').code, code);
      const counted = await until(refusals, (counts) => counts[code] !== before[code]);
      assert.deepEqual(counted, { ...before, [code]: (before[code] ?? 0) + 1 });
    });
  }
});
