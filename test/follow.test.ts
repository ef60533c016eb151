/** How one request is followed on the way of its writes: by its id through the logs, and by its trace. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { startApi, startEmulator, startMongoDb } from './parts.ts';
import { findFreePort } from './process.ts';
import { needs } from './programs.ts';
import { request } from './requests.ts';
import { type System, startSystem } from './system.ts';
import { until } from './until.ts';

interface Span {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  service: string;
  attributes: Record<string, string | number>;
  links?: { traceId: string; spanId: string }[];
}

interface LogLine {
  name: string;
  msg: string;
  messageId?: string;
  requestIds?: string[];
  firstIds?: string[];
}

/** Takes traces as an OpenTelemetry collector does, by OTLP over HTTP in JSON. */
async function startCollector(): Promise<{ url: string; spans: Span[]; server: Server }> {
  const spans: Span[] = [];
  const server = createServer(async (sent, response) => {
    assert.equal(sent.url, '/v1/traces');
    // biome-ignore lint/suspicious/noExplicitAny: as the protocol has it
    const { resourceSpans } = (await json(sent)) as any;
    for (const { resource, scopeSpans } of resourceSpans) {
      const name = resource.attributes.find(({ key }: { key: string }) => key === 'service.name');
      for (const { spans: own } of scopeSpans) {
        for (const span of own) {
          const attributes = Object.fromEntries(span.attributes.map(readAttribute));
          spans.push({ ...span, attributes, service: name.value.stringValue });
        }
      }
    }
    response.end('{}');
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, spans, server };
}

/** Of the values of OTLP that are sent here; its JSON has whole numbers as text or not. */
function readAttribute({ key, value }: { key: string; value: { stringValue?: string; intValue?: string } }) {
  return [key, value.stringValue ?? Number(value.intValue)];
}

function readLog(output: string): LogLine[] {
  const lines = output.split('\n').filter((line) => line.startsWith('{'));
  return lines.map((line) => JSON.parse(line));
}

describe('following a request', needs('mongodb'), () => {
  let system: System;
  let collector: Awaited<ReturnType<typeof startCollector>>;

  before(async () => {
    collector = await startCollector();
    // Whatever arrives while one call is under way shares the next envelope.
    const oneCall = { PUBLISH_CONCURRENCY: '1', BATCH_AGE_MAX_MS: '200' };
    system = await startSystem({
      ...oneCall,
      LOG_LEVEL: 'debug',
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    });
  });
  after(async () => {
    await system?.stop();
    collector?.server.closeAllConnections();
    collector?.server.close();
  });

  const get = (headers: Record<string, string> = {}) => request(`${system.api.url}/api/data`, { headers });

  const find = (part: 'api' | 'writer', condition: (line: LogLine) => boolean | undefined) =>
    until(
      async () => readLog(system[part].output()).find(condition),
      (line) => line !== undefined,
    );

  test("a caller's own X-Request-Id is answered, and is in the logs of api and writer with the same message", async () => {
    const { headers } = await get({ 'x-request-id': 'order-7' });
    assert.equal(headers.get('x-request-id'), 'order-7');
    const confirmed = await find('api', ({ requestIds }) => requestIds?.includes('order-7'));
    const stored = await find('writer', ({ requestIds }) => requestIds?.includes('order-7'));
    assert.equal(confirmed?.msg, 'confirmed');
    assert.equal(stored?.msg, 'stored');
    assert.equal(confirmed?.messageId, stored?.messageId);
  });

  test('a request without one is known by the id of its first write, and one that is no id is left out', async () => {
    const { body, headers } = await get({ 'x-request-id': 'two words' });
    assert.equal(headers.get('x-request-id'), null);
    const confirmed = await find('api', ({ firstIds }) => firstIds?.includes(body.writes[0]));
    assert.equal(confirmed?.requestIds, undefined);
    const stored = await find('writer', ({ messageId }) => messageId === confirmed?.messageId);
    assert.equal(stored?.msg, 'stored');
  });

  test('a request whose trace is not sampled begins none on its way', async () => {
    const [leftOut, followed] = ['d'.repeat(32), 'e'.repeat(32)];
    const { body } = await get({ traceparent: `00-${leftOut}-${'a'.repeat(16)}-00` });
    const confirmed = await find('api', ({ firstIds }) => firstIds?.includes(body.writes[0]));
    await find('writer', ({ messageId }) => messageId === confirmed?.messageId);
    await get({ traceparent: `00-${followed}-${'a'.repeat(16)}-01` });
    // Each sends its spans in their order, so what the first one began is here too.
    await until(() => {
      const services = collector.spans
        .filter(({ traceId }) => traceId === followed)
        .map((span) => span.service);
      return services.includes('api') && services.includes('writer');
    });
    const begun = collector.spans.filter(({ traceId, parentSpanId, name }) => {
      return traceId === leftOut || (!parentSpanId && !name.startsWith('GET '));
    });
    assert.deepEqual(begun, []);
  });

  const findSpan = (id: string) =>
    until(
      () => collector.spans.find(({ traceId }) => traceId === id),
      (span) => span !== undefined,
    );

  test('a request is named by its route', async () => {
    const traceId = 'b'.repeat(32);
    const headers = { traceparent: `00-${traceId}-${'a'.repeat(16)}-01` };
    const answer = await request(`${system.api.url}/api/records/${'0'.repeat(24)}`, { headers });
    assert.equal(answer.status, 404);
    const span = await findSpan(traceId);
    assert.equal(span?.name, 'GET /api/records/:id');
    assert.equal(span?.attributes['http.route'], '/api/records/:id');
    assert.equal(span?.attributes['http.response.status_code'], 404);
    assert.equal(span?.attributes['error.type'], undefined);
  });

  test('a request whose client went away has no status in its trace', async () => {
    const traceId = 'c'.repeat(32);
    const inFlight = async () => {
      const metrics = await (await fetch(`${system.api.url}/metrics`)).text();
      return /^api_requests_in_flight (\d+)$/m.exec(metrics)?.[1];
    };
    system.broker.pause();
    const client = new AbortController();
    const headers = { traceparent: `00-${traceId}-${'a'.repeat(16)}-01` };
    const asked = assert.rejects(fetch(`${system.api.url}/api/data`, { headers, signal: client.signal }));
    await until(inFlight, (count) => count === '1');
    client.abort();
    await asked;
    await until(inFlight, (count) => count === '0');
    system.broker.resume();
    const span = await findSpan(traceId);
    assert.equal(span?.name, 'GET /api/data');
    assert.equal(span?.attributes['http.response.status_code'], undefined);
    assert.equal(span?.attributes['error.type'], 'client_gone');
  });

  test('a trace leads from each request through its message to the one bulkWrite', async () => {
    const traceIds = Array.from({ length: 20 }, (_, index) => `${index + 10}`.repeat(16));
    const parentId = 'a'.repeat(16);
    await Promise.all(traceIds.map((traceId) => get({ traceparent: `00-${traceId}-${parentId}-01` })));
    const of = (traceId: string) => collector.spans.filter((span) => span.traceId === traceId);
    await until(async () =>
      traceIds.every((traceId) => of(traceId).some(({ name }) => name === 'GET /api/data')),
    );
    const first = traceIds.find((traceId) => of(traceId).some(({ name }) => name === 'send writes'));
    assert.ok(first);
    await until(async () => of(first).some(({ name }) => name === 'process writes-writer'));
    const byName = (name: string) => of(first).find((span) => span.name === name);
    const [answered, sent, processed] = ['GET /api/data', 'send writes', 'process writes-writer'].map(byName);
    assert.deepEqual([answered?.service, sent?.service, processed?.service], ['api', 'api', 'writer']);
    assert.equal(answered?.parentSpanId, parentId);
    assert.equal(sent?.parentSpanId, answered?.spanId);
    assert.equal(processed?.parentSpanId, sent?.spanId);
    assert.equal(answered?.attributes['http.route'], '/api/data');
    assert.equal(answered?.attributes['http.response.status_code'], 200);
    assert.equal(sent?.attributes['messaging.operation.name'], 'send');
    assert.equal(processed?.attributes['messaging.operation.name'], 'process');

    const linksOf = (span: Span | undefined) => span?.links?.map(({ spanId }) => spanId) ?? [];
    const stores = collector.spans.filter(({ name }) => name === 'bulkWrite records');
    const store = stores.find((span) => {
      return span.parentSpanId === processed?.spanId || linksOf(processed).includes(span.spanId);
    });
    assert.equal(store?.service, 'writer');
    // Requests that share an envelope with another are linked with its publish.
    for (const traceId of traceIds) {
      const own = of(traceId).find(({ name }) => name === 'GET /api/data');
      const sends = collector.spans.filter(({ name }) => name === 'send writes');
      const isSent = sends.some(({ parentSpanId, spanId }) => {
        return parentSpanId === own?.spanId || linksOf(own).includes(spanId);
      });
      assert.ok(isSent, traceId);
    }
  });
});

describe('a collector', needs('mongodb'), () => {
  const warnings = (output: string) => readLog(output).filter(({ msg }) => /traces/.test(msg));

  test('that is away costs neither an answer nor a clean drain, and is in the log', async (context) => {
    const endpoint = `http://127.0.0.1:${await findFreePort()}`;
    const system = await startSystem({ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, LOG_LEVEL: 'debug' });
    context.after(() => system.stop());
    assert.equal((await request(`${system.api.url}/api/data`)).status, 200);
    await until(() => readLog(system.writer.output()).some(({ msg }) => msg === 'stored'));
    await Promise.all([system.api.stop(), system.writer.stop()]);
    for (const part of [system.api, system.writer]) {
      assert.equal(await part.exited(), 0, part.output());
      assert.equal(warnings(part.output()).at(-1)?.msg, 'the last traces were not sent');
    }
  });

  test('that takes no traces is warned of once', async (context) => {
    let asked = 0;
    const collector = createServer((_sent, response) => {
      asked++;
      response.writeHead(404).end();
    });
    await once(collector.listen(0, '127.0.0.1'), 'listening');
    context.after(() => collector.close());
    await using mongoDb = await startMongoDb();
    await using broker = await startEmulator();
    const endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;
    await using api = await startApi({ mongoDb, broker, env: { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint } });
    for (const count of [1, 2]) {
      assert.equal((await request(`${api.url}/api/data`)).status, 200);
      await until(() => asked >= count);
    }
    await api.stop();
    assert.deepEqual(
      warnings(api.output()).map(({ msg }) => msg),
      ['traces cannot be sent'],
    );
  });
});

describe('logs at their default level', needs('mongodb'), () => {
  test('hold no line for a request, and each line is JSON', async () => {
    const system = await startSystem();
    await request(`${system.api.url}/api/data`);
    const before = system.api.output();
    for (let count = 0; count < 20; count++) await request(`${system.api.url}/api/data`);
    assert.equal(system.api.output(), before);
    await system.stop();
    for (const part of ['api', 'writer'] as const) {
      const lines = system[part].output().trim().split('\n');
      for (const line of lines) assert.equal(JSON.parse(line).name, part);
    }
  });
});

test('on a terminal a log line is for people', () => {
  const program =
    "import { createLogger } from '@assessment/api/log'; createLogger('api', 'info').info('listening');";
  const command = `"${process.execPath}" --input-type=module --eval "${program}"`;
  const shown = execFileSync('script', ['--quiet', '--return', '--command', command, '/dev/null'], {
    cwd: import.meta.dirname,
    encoding: 'utf8',
  });
  assert.match(shown, /\d\d:\d\d:\d\d\.\d{3}.*INFO.*api.*listening/);
  assert.doesNotMatch(shown, /"msg"/);
});
