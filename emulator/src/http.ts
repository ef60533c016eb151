/** What HTTP/1 clients may ask: the REST API under /v1, and beside it whether it lives, whether it is ready, and figures. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Broker } from './broker/broker.ts';
import type { Cors } from './cors.ts';
import { createServer } from './node-http.ts';
import { isTooLong } from './rest/body.ts';
import type { RestFront } from './rest/front.ts';
import { originForm } from './rest/query.ts';
import type { TestEndpoints } from './test-endpoints.ts';

/** Longer than that the head of a request may not take, the first after its connection too. */
const headersTimeoutMs = 10_000;
/** How often that is looked at. */
const connectionsCheckingIntervalMs = 5_000;
/**
 * An idle connection is kept longer than the 60 s for which clients and load balancers keep theirs: who closes first
 * must not be the side that may be sent a request at that moment.
 */
const keepAliveTimeoutMs = 65_000;

export interface HttpDeps {
  broker: Broker;
  rest: RestFront;
  cors: Cors;
  testEndpoints: TestEndpoints;
  isReady: () => boolean;
}

export function createHttp({ broker, rest, cors, testEndpoints, isReady }: HttpDeps): Server {
  const routes: Record<string, (response: ServerResponse) => void> = {
    '/': (response) => send(response, 200, 'Ok\n'),
    '/healthz': (response) => send(response, 200, 'ok\n'),
    '/readyz': (response) =>
      isReady() ? send(response, 200, 'ready\n') : send(response, 503, 'not ready\n'),
    '/metrics': (response) => send(response, 200, metrics(broker), 'text/plain; version=0.0.4'),
    '/_emulator/backlog': (response) => {
      const body = { storedBytes: broker.storedBytes, subscriptions: broker.backlog() };
      send(response, 200, `${JSON.stringify(body, null, 2)}\n`, 'application/json');
    },
  };
  const limits = {
    headersTimeout: headersTimeoutMs,
    connectionsCheckingInterval: connectionsCheckingIntervalMs,
    keepAliveTimeout: keepAliveTimeoutMs,
  };
  const server = createServer(limits, (request: IncomingMessage, response) => {
    if (cors(request, response)) return;
    request.url = originForm(request.url ?? '');
    const path = request.url.split('?')[0] ?? '';
    const route = Object.hasOwn(routes, path) ? routes[path] : undefined;
    if (path.startsWith('/v1/')) rest.answer(request, response);
    else if (!route && path.startsWith('/_emulator/')) void testEndpoints.answer(request, response);
    else if (!route) send(response, 404, 'Not Found\n');
    else if (request.method === 'GET' || request.method === 'HEAD') route(response);
    else send(response, 405, 'Method Not Allowed\n');
  });
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    // A body that will be refused is not asked for; then nothing more can come on this connection.
    if (isTooLong(request)) response.setHeader('connection', 'close');
    else response.writeContinue();
    server.emit('request', request, response);
  });
  return server;
}

function send(response: ServerResponse, status: number, body: string, type = 'text/plain'): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) });
  response.end(body);
}

const figures = [
  [
    'unackedCount',
    'pubsub_emulator_unacked_messages',
    'Messages that are not acked: outstanding and backlog.',
  ],
  ['outstandingCount', 'pubsub_emulator_outstanding_messages', 'Messages that are leased.'],
  ['outstandingBytes', 'pubsub_emulator_outstanding_bytes', 'Bytes of the messages that are leased.'],
  ['oldestUnackedSeconds', 'pubsub_emulator_oldest_unacked_seconds', 'Age of the oldest message not acked.'],
  ['consumerCount', 'pubsub_emulator_consumers', 'Open streams and waiting pulls.'],
] as const;

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

const escapes: Record<string, string> = { '\\': '\\\\', '"': '\\"', '\n': '\\n' };

/** A name from before names were checked may have anything in it. */
function labelValue(text: string): string {
  return text.replace(/[\\"\n]/g, (character) => escapes[character] ?? character);
}

/** https://prometheus.io/docs/instrumenting/exposition_formats/ */
function metrics(broker: Broker): string {
  const backlog = broker.backlog();
  const lines = figures.flatMap(([key, name, help]) => [
    `# HELP ${name} ${help}`,
    `# TYPE ${name} gauge`,
    ...backlog.map((one) => `${name}{subscription="${labelValue(one.subscription)}"} ${one[key]}`),
  ]);
  lines.push(
    '# HELP pubsub_emulator_stored_bytes Bytes of the log in the data folder.',
    '# TYPE pubsub_emulator_stored_bytes gauge',
    `pubsub_emulator_stored_bytes ${broker.storedBytes}`,
    '# HELP process_resident_memory_bytes Resident memory size in bytes.',
    '# TYPE process_resident_memory_bytes gauge',
    `process_resident_memory_bytes ${process.memoryUsage.rss()}`,
    '# HELP process_cpu_seconds_total Total user and system CPU time spent in seconds.',
    '# TYPE process_cpu_seconds_total counter',
    `process_cpu_seconds_total ${cpuSeconds()}`,
  );
  return `${lines.join('\n')}\n`;
}
