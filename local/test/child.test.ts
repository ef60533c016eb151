import assert from 'node:assert/strict';
import { createConnection } from 'node:net';
import { test } from 'node:test';
import { createFolder, findFreePort } from '../../test/process.ts';
import { createChild } from '../child.ts';
import { StartError } from '../start-error.ts';

/** A child that listens, after `prelude`, and what was reported of it. */
async function createListener(prelude = '', stopTimeoutMs = 20_000) {
  const port = await findFreePort();
  const reports: string[] = [];
  const recorded = new Set<number>();
  const script = `${prelude}
    require('node:net').createServer((socket) => socket.end()).listen(${port}, '127.0.0.1');`;
  const child = createChild(
    {
      name: 'Listener',
      command: process.execPath,
      args: ['-e', script],
      env: process.env,
      logFolder: createFolder(),
      host: '127.0.0.1',
      port,
      check: () => connect(port),
      stopTimeoutMs,
    },
    {
      runState: { add: (_name, pid) => recorded.add(pid), remove: (pid) => recorded.delete(pid) },
      onTrouble: (_name, text, details) => reports.push([text, ...details].join('\n')),
      onBack: (_name, text) => reports.push(text),
    },
  );
  return { child, reports, recorded };
}

function connect(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(port, '127.0.0.1', () => {
      socket.destroy();
      resolve();
    });
    socket.once('error', reject);
  });
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10));
}

test('starts a child again that dies, and says so with the end of its log', async () => {
  const { child, reports, recorded } = await createListener("console.log('the last words');");
  await child.started;
  const first = child.pid();
  assert.ok(first);
  assert.deepEqual([...recorded], [first]);
  process.kill(first, 'SIGKILL');
  await until(() => reports.length === 2);
  assert.match(reports[0] ?? '', /died \(killed by SIGKILL\); starting it again[\s\S]*the last words/);
  const second = child.pid();
  assert.ok(second && second !== first);
  assert.equal(reports[1], `is back (process ${second})`);
  assert.deepEqual([...recorded], [second]);
  assert.equal(await child.stop(), 'ended');
  assert.equal(child.pid(), undefined);
  assert.equal(recorded.size, 0);
});

test('rejects a first start that ends, with the end of its log', async () => {
  const { child, reports } = await createListener("console.error('no such setting'); process.exit(3);");
  await assert.rejects(child.started, (error) => {
    assert.ok(error instanceof StartError);
    assert.match(error.message, /^Listener ended before it was ready \(exit code 3\)[\s\S]*no such setting/);
    return true;
  });
  assert.deepEqual(reports, []);
  assert.equal(await child.stop(), 'ended');
});

test('rejects a program that is not there', async () => {
  const { child } = await createListener();
  const missing = createChild(
    {
      name: 'Missing',
      command: '/no/such/program',
      args: [],
      env: {},
      logFolder: createFolder(),
      host: '127.0.0.1',
      port: await findFreePort(),
      check: async () => {},
      stopTimeoutMs: 1_000,
    },
    { runState: { add() {}, remove() {} }, onTrouble() {}, onBack() {} },
  );
  await assert.rejects(missing.started, /^StartError: Missing ended before it was ready \(.*ENOENT\)/);
  await child.stop();
});

test('kills a child that does not end in time', async () => {
  const { child } = await createListener("process.on('SIGTERM', () => {});", 100);
  await child.started;
  assert.equal(await child.stop(), 'killed');
  assert.equal(child.pid(), undefined);
});

test('ends a child that is stopped', async () => {
  const { child } = await createListener();
  await child.started;
  process.kill(child.pid() ?? 0, 'SIGSTOP');
  assert.equal(await child.stop(), 'ended');
});

test('does not start a child again that is stopped between two runs', async () => {
  const { child, reports } = await createListener();
  await child.started;
  process.kill(child.pid() ?? 0, 'SIGKILL');
  await until(() => reports.length > 0);
  await child.stop();
  assert.equal(child.pid(), undefined);
  assert.equal(reports.length, 1);
});
