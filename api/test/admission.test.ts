import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { createAdmission } from '../src/admission.ts';

test('refuses over the bound in any spelling of a path, answers health, and takes requests again below it', async () => {
  const held: ServerResponse[] = [];
  const refused: string[] = [];
  const admission = createAdmission(
    (request, response) => {
      if (request.url === '/healthz') response.end();
      else held.push(response);
    },
    { inFlightMax: 2, onRefused: ({ code }) => refused.push(code) },
  );
  await using server = createServer(admission.listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const first = fetch(`${url}/api/data`);
  const second = fetch(`${url}/api/data`);
  while (held.length < 2) await once(server, 'request');
  for (const path of ['/api/data', '/API/data', '//api/data', '/healthz?x']) {
    const answer = await fetch(url + path);
    assert.equal(answer.status, 503, path);
    assert.equal(answer.headers.get('retry-after'), '1');
    assert.equal(((await answer.json()) as { code: string }).code, 'overloaded');
  }
  assert.equal((await fetch(`${url}/healthz`)).status, 200);
  assert.equal(refused.length, 4);
  for (const response of held.splice(0)) response.end();
  await Promise.all([(await first).text(), (await second).text()]);
  while (admission.inFlight() > 0) await new Promise(setImmediate);
  const third = fetch(`${url}/api/data`);
  while (held.length < 1) await once(server, 'request');
  held[0]?.end();
  assert.equal((await third).status, 200);
});
