import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { test } from 'node:test';
import { findFreePort } from '../../test/process.ts';
import { choosePorts, type WantedPort } from '../ports.ts';
import { StartError } from '../start-error.ts';

const host = '127.0.0.1';

/** Listens until the test ends. */
async function takePort(context: { after(fn: () => void): void }, port = 0): Promise<number> {
  const server = createServer().listen(port, host);
  await once(server, 'listening');
  context.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

function want(variable: string, given: number | undefined, fallback: number): WantedPort {
  return { variable, given, fallback, host };
}

test('uses a port that is set', async () => {
  const port = await findFreePort();
  assert.deepEqual(await choosePorts({ api: want('PORT', port, 3000) }), { api: { port } });
});

test('refuses a port that is set and taken, naming its variable', async (context) => {
  const port = await takePort(context);
  await assert.rejects(choosePorts({ api: want('PORT', port, 3000) }), (error) => {
    assert.ok(error instanceof StartError);
    assert.match(error.message, new RegExp(`^PORT: 127\\.0\\.0\\.1:${port} is taken by another process`));
    return true;
  });
});

test('replaces a default that is taken by the next free port, and says so', async (context) => {
  const fallback = await takePort(context);
  const { api } = await choosePorts({ api: want('PORT', undefined, fallback) });
  assert.ok(api.port > fallback);
  assert.match(api.note ?? '', new RegExp(`because ${fallback} is taken; PORT sets another`));
});

test('leaves the defaults of the others to them', async (context) => {
  const fallback = await takePort(context);
  const { api, writer } = await choosePorts({
    api: want('PORT', undefined, fallback),
    writer: want('WRITER_PORT', undefined, fallback + 1),
  });
  assert.ok(api.port > fallback + 1);
  assert.ok(writer.port > fallback);
  assert.notEqual(api.port, writer.port);
});

test('gives no default to a port that another variable sets', async () => {
  const port = await findFreePort();
  const { api, writer } = await choosePorts({
    api: want('PORT', undefined, port),
    writer: want('WRITER_PORT', port, 3001),
  });
  assert.equal(writer.port, port);
  assert.notEqual(api.port, port);
});

test('refuses the same port for two', async () => {
  const port = await findFreePort();
  await assert.rejects(
    choosePorts({ api: want('PORT', port, 3000), writer: want('WRITER_PORT', port, 3001) }),
    /^StartError: WRITER_PORT: \d+ is what PORT says already/,
  );
});

test('finds any free port for 0', async () => {
  const { api, writer } = await choosePorts({
    api: want('PORT', 0, 3000),
    writer: want('WRITER_PORT', 0, 3001),
  });
  assert.ok(api.port > 0 && writer.port > 0);
});

test('names HOST when it is no address of this machine', async () => {
  // 192.0.2.0/24 is for documentation: https://www.rfc-editor.org/rfc/rfc5737
  const wanted = { ...want('PORT', undefined, 3000), host: '192.0.2.1' };
  await assert.rejects(choosePorts({ api: wanted }), /^StartError: HOST: 192\.0\.2\.1 is no address/);
});
