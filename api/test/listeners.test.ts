import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { test } from 'node:test';
import { openListeners } from '../src/listeners.ts';

const local = { host: '127.0.0.1', port: 0, backlog: 511 } as const;
const linux = { skip: process.platform === 'linux' ? false : 'SO_REUSEPORT as Linux has it' };

/** Clients whose connections the kernel has made before the server's loop turns again. */
function connectMany(port: number, count: number): Socket[] {
  return Array.from({ length: count }, () =>
    connect(port, local.host)
      .on('error', () => {})
      .resume(),
  );
}

async function open(server: Server, options: { connectionsMax: number; acceptsPerTurn: number }) {
  const listeners = await openListeners(server, { ...local, ...options });
  const accepted: Socket[] = [];
  server.on('connection', (socket: Socket) => {
    socket.on('error', () => {}).on('end', () => socket.destroy());
    accepted.push(socket.resume());
  });
  return { ...listeners, accepted };
}

test('accepts many connections in few turns of the event loop', linux, async () => {
  const [count, turnsMax] = [400, 100];
  const { port, accepted, close } = await open(createServer(), { connectionsMax: 1_000, acceptsPerTurn: 64 });
  const clients = connectMany(port, count);
  let turns = 0;
  for (; accepted.length < count; turns++) await new Promise(setImmediate);
  assert.ok(turns < turnsMax, `${turns} turns`);
  for (const socket of [...clients, ...accepted]) socket.destroy();
  await close();
});

test('closes a connection over the bound at once, whichever socket it came to, and takes one when another ends', async () => {
  const connectionsMax = 10;
  const { port, accepted, close } = await open(createServer(), { connectionsMax, acceptsPerTurn: 16 });
  const clients = connectMany(port, connectionsMax);
  while (accepted.length < connectionsMax) await new Promise(setImmediate);
  await Promise.all(connectMany(port, 5).map((client) => once(client, 'close')));
  assert.equal(accepted.length, connectionsMax);
  const ended = once(accepted[0] as Socket, 'close');
  accepted[0]?.destroy();
  await ended;
  const next = connect(port, local.host);
  while (accepted.length <= connectionsMax) await new Promise(setImmediate);
  for (const socket of [...clients, ...accepted, next]) socket.destroy();
  await close();
});

test('does not share its port with another server', async () => {
  const first = await open(createServer(), { connectionsMax: 1, acceptsPerTurn: 4 });
  const again = openListeners(createServer(), {
    ...local,
    port: first.port,
    connectionsMax: 1,
    acceptsPerTurn: 4,
  });
  await assert.rejects(again, { code: 'EADDRINUSE' });
  await first.close();
});

test('closes when the last connection has ended, of each of its sockets', async () => {
  const { port, accepted, close } = await open(createServer(), { connectionsMax: 100, acceptsPerTurn: 8 });
  const clients = connectMany(port, 20);
  while (accepted.length < clients.length) await new Promise(setImmediate);
  let isClosed = false;
  const closed = close().then(() => {
    isClosed = true;
  });
  for (const socket of accepted) {
    await new Promise(setImmediate);
    assert.equal(isClosed, false);
    socket.destroy();
  }
  await closed;
});
