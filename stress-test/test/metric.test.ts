/** A figure of a process, against a real HTTP server. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { readMetric } from '../metric.ts';

test('a figure is read by its whole name, and one that is not there is named', async () => {
  const server = createServer((_, response) => response.end('# TYPE writes_total counter\nwrites_total 5\n'));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  assert.equal(await readMetric(url, 'writes_total'), 5);
  await assert.rejects(readMetric(url, 'writes'), { message: `${url}/metrics has no writes` });
  server.closeAllConnections();
  server.close();
});
