/** A name with several addresses, each a process of its own; all of 127.0.0.0/8 is this machine. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { findProcesses, silencesMax } from '../src/dashboard/processes.ts';
import { total } from '../src/dashboard/samples.ts';

const wanted = new Set(['envelopes_total']);
const servers: Server[] = [];

after(() => {
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
});

async function serve(address: string, port: number, text: string | undefined): Promise<number> {
  const server = createServer((request, response) => {
    assert.equal(request.url, '/metrics?name=envelopes_total');
    if (text !== undefined) response.end(text);
  });
  servers.push(server);
  await once(server.listen(port, address), 'listening');
  return (server.address() as AddressInfo).port;
}

const at = (...addresses: string[]) => {
  return async () => addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
};

test('each address is asked, and one that refuses is gone at once', async () => {
  const port = await serve('127.0.0.1', 0, 'envelopes_total 1\n');
  await serve('127.0.0.2', port, 'envelopes_total 2\nother 9\n');
  const lookup = at('127.0.0.1', '127.0.0.2', '127.0.0.3', '::1');
  const processes = findProcesses(`pods:${port}`, wanted, lookup);
  const found = await processes.ask();
  processes.close();
  assert.deepEqual(
    found.map(({ address, sample, isGone }) => [
      address,
      sample && total(sample, 'envelopes_total'),
      sample?.size,
      isGone,
    ]),
    [
      ['127.0.0.1', 1, 1, false],
      ['127.0.0.2', 2, 1, false],
      ['127.0.0.3', undefined, undefined, true],
    ],
  );
});

test('one that is silent is slow at first, and gone when it stays silent', async () => {
  const port = await serve('127.0.0.1', 0, undefined);
  const processes = findProcesses(`pods:${port}`, wanted, at('127.0.0.1'));
  const rounds = [];
  for (let round = 0; round < silencesMax; round++) rounds.push((await processes.ask())[0]?.isGone);
  processes.close();
  assert.deepEqual(rounds, [false, true]);
});

test('a name without an address is no process, and one with too many is cut', async () => {
  const none = findProcesses('pods:1', wanted, async () => Promise.reject(new Error('ENOTFOUND')));
  assert.deepEqual(await none.ask(), []);
  none.close();
  const many = Array.from({ length: 17 }, (_, index) => `127.0.1.${index + 1}`);
  const processes = findProcesses('pods:1', wanted, at(...many));
  assert.equal((await processes.ask()).length, 16);
  processes.close();
});
