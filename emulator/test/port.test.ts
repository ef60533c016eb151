/** Where the emulator listens. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { test } from 'node:test';
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
  const { port } = other.address() as { port: number };
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
