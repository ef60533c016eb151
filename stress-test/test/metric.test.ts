/** A figure of a process, against a real HTTP server. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { readMetric } from '../metric.ts';

test('a figure is asked for alone and read by its whole name, and one that is not there is named', async (context) => {
  const asked: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url);
    response.end('# TYPE writes_total counter\nwrites_total 5\n');
  });
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  assert.equal(await readMetric(url, 'writes_total'), 5);
  await assert.rejects(readMetric(url, 'writes'), { message: `${url}/metrics has no writes` });
  assert.deepEqual(asked, ['/metrics?name=writes_total', '/metrics?name=writes']);
});
