/** A burst in its thread, against a server that answers, refuses and breaks off. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { until } from '../../test/until.ts';
import { type Burst, createBursts } from '../src/dashboard/burst.ts';
import { createLogger } from '../src/log.ts';

/** The figures once all requests are accounted for. */
async function run(context: TestContext, requests: number, url: string): Promise<Burst | null> {
  const bursts = createBursts({ requestsMax: requests, logger: createLogger('test', 'silent') });
  context.after(() => bursts.close());
  bursts.start(requests, url);
  return until(bursts.latest, (burst) => burst !== null && burst.answered + burst.failed >= requests);
}

test('each request is answered or failed: a refusal, an answer that breaks off, and none at all', async (context) => {
  const answers: RequestListener[] = [
    (_request, response) => response.end('whole'),
    (_request, response) => response.writeHead(503).end(),
    (request) => request.socket.destroy(),
    (_request, response) => {
      response.writeHead(200, { 'Content-Length': 5 }).write('br', () => response.destroy());
    },
  ];
  let count = 0;
  const server = createServer((request, response) => answers[count++ % answers.length]?.(request, response));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const burst = await run(context, 40, `http://127.0.0.1:${port}/`);
  assert.deepEqual(burst, { requests: 40, answered: 10, failed: 30 });
});

test('what a thread that breaks off did not send has failed', async (context) => {
  assert.deepEqual(await run(context, 3, 'no URL'), { requests: 3, answered: 0, failed: 3 });
});
