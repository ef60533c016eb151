import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { request } from '../../test/requests.ts';
import { createViewers } from '../src/dashboard/viewers.ts';
import type { ApiError } from '../src/errors.ts';
import { refuse } from '../src/refusal.ts';

test('who comes when a drain has ended the streams is refused, and gets none without an end', async (context) => {
  const viewers = createViewers({ settings: { burstRequestsMax: 0 }, onFirst: () => {}, onLast: () => {} });
  const server = createServer((_request, response) => {
    try {
      viewers.add(response);
    } catch (error) {
      refuse(response, error as ApiError);
    }
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  viewers.close();
  const { status, body } = await request(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  assert.equal(status, 503);
  assert.equal(body.code, 'draining');
});
