/** Where the emulator listens. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { test } from 'node:test';
import { until } from '../../test/until.ts';
import { startEmulator } from './harness.ts';

test('listens on both families of localhost, on one port', async (context) => {
  const { port } = await startEmulator(context, { host: 'localhost' });
  for (const address of ['127.0.0.1', '[::1]']) {
    assert.equal((await fetch(`http://${address}:${port}/healthz`)).status, 200, address);
  }
});

test('names a port of localhost that is taken in one family only', async (context) => {
  const other = createServer().listen(0, '::1');
  context.after(() => other.close());
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  await assert.rejects(startEmulator(context, { host: 'localhost', port }), {
    message: `localhost:${port} is taken by another process. Choose another --host-port.`,
  });
  // Nothing is left listening of what did not start.
  await startEmulator(context, { port });
});

test('names a host that has no address', async (context) => {
  await assert.rejects(startEmulator(context, { host: 'none.invalid' }), {
    message: 'none.invalid has no address. Choose another --host-port.',
  });
});

test('lets TCP probe a connection on which nothing comes', async (context) => {
  const { port } = await startEmulator(context);
  const socket = connect(port, '127.0.0.1');
  context.after(() => socket.destroy());
  await once(socket, 'connect');
  const hex = (number: number) => number.toString(16).toUpperCase().padStart(4, '0');
  const ends = `0100007F:${hex(port)} 0100007F:${hex((socket.address() as AddressInfo).port)} 01`;
  // The timer 02 is the one of keepalive: https://docs.kernel.org/networking/proc_net_tcp.html
  await until(() => /^\S+ 02:/.test(readFileSync('/proc/net/tcp', 'utf8').split(ends)[1]?.trim() ?? ''));
});
