/** `npm start` as a process: everything of it that needs all parts at once. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { type Broker, type MongoDb, startGoogleEmulator, startMongoDb } from '../../test/parts.ts';
import { createFolder, findFreePort, type RunningProcess, startProcess } from '../../test/process.ts';
import { needs } from '../../test/programs.ts';
import { isAlive, type RecordedProcess } from '../processes.ts';
import { readRun } from '../run-state.ts';
import { listenersOf } from './listeners.ts';

const program = join(import.meta.dirname, '..', 'start.ts');
const ready = /Ctrl-C stops everything/;

// Shared by all tests that start neither themselves; each has its own data folder and ports.
const both = needs('mongodb', 'googleEmulator');
let mongoDb: MongoDb;
let broker: Broker;

before(async () => {
  if (both.skip !== false) return;
  [mongoDb, broker] = await Promise.all([startMongoDb(), startGoogleEmulator()]);
});

after(async () => {
  await Promise.all([mongoDb?.stop(), broker?.stop()]);
});

function startLocal(env: Record<string, string>, isReady: RegExp = ready, args: string[] = []) {
  return startProcess({ command: process.execPath, args: [program, ...args], env, ready: isReady });
}

/** Settings for a stack on ports of its own, with MongoDB and broker that run already. */
async function createSettings() {
  const DATA_DIR = createFolder();
  const PORT = String(await findFreePort());
  const env = {
    DATA_DIR,
    PORT,
    WRITER_PORT: '0',
    MONGODB_URI: mongoDb.uri,
    PUBSUB_EMULATOR_HOST: broker.host,
  };
  return { env, dataFolder: DATA_DIR, apiUrl: `http://127.0.0.1:${PORT}` };
}

function childrenOf(dataFolder: string): RecordedProcess[] {
  return readRun(dataFolder)?.children ?? [];
}

function childOf(dataFolder: string, name: string): RecordedProcess {
  const child = childrenOf(dataFolder).find((other) => other.name === name);
  assert.ok(child, `${name} is recorded`);
  return child;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await pause(20);
}

async function untilSaid(local: RunningProcess, text: RegExp): Promise<void> {
  await until(() => text.test(local.output()));
}

async function interrupt(local: RunningProcess): Promise<number | null> {
  process.kill(local.pid(), 'SIGINT');
  return local.exited();
}

/** The MongoDB and the broker of this machine, without a download: a data folder stays with its engine. */
test('starts all four parts, revives each, and keeps the data', both, async () => {
  const dataFolder = createFolder();
  mkdirSync(join(dataFolder, 'secantusd-rs'));
  appendFileSync(join(dataFolder, 'secantusd-rs', 'keep'), '');
  const [PORT, WRITER_PORT, BROKER_PORT, MONGODB_PORT] = (
    await Promise.all(Array.from({ length: 4 }, findFreePort))
  ).map(String) as [string, string, string, string];
  const env = { DATA_DIR: dataFolder, PORT, WRITER_PORT, BROKER_PORT, MONGODB_PORT };
  const apiUrl = `http://127.0.0.1:${PORT}`;
  await using local = await startLocal(env);
  assert.match(local.output(), new RegExp(`export PUBSUB_EMULATOR_HOST=127\\.0\\.0\\.1:${BROKER_PORT} `));

  const first = await fetch(`${apiUrl}/api/data`);
  assert.equal(first.status, 200);
  assert.equal(((await first.json()) as { status: string }).status, 'success');
  const children = childrenOf(dataFolder);
  assert.deepEqual(children.map(({ name }) => name).sort(), ['API', 'Broker', 'MongoDB', 'Writer']);
  await untilStored(apiUrl, 5);
  for (const { name, pid } of [...children, { name: 'npm start', pid: local.pid() }]) {
    const listeners = listenersOf(pid);
    assert.equal(listeners.length > 0, name !== 'npm start', name);
    assert.ok(
      listeners.every(({ isLoopback }) => isLoopback),
      `${name} listens on loopback alone`,
    );
  }

  for (const { name, pid } of children) {
    process.kill(pid, 'SIGKILL');
    await untilSaid(local, new RegExp(`${name} .*died \\(killed by SIGKILL\\)[\\s\\S]*${name} .*is back`));
    assert.notEqual(childOf(dataFolder, name).pid, pid);
  }
  // The broker that came back has its topics again, or this would be a 503.
  assert.equal((await fetch(`${apiUrl}/api/data`)).status, 200);

  const last = childrenOf(dataFolder);
  assert.equal(await interrupt(local), 0);
  assert.deepEqual(last.filter(isAlive), []);
  assert.equal(existsSync(join(dataFolder, 'run.json')), false);

  await using again = await startLocal(env);
  await untilStored(apiUrl, 5);
  assert.doesNotMatch(again.output(), /died without stopping/);
  assert.equal(await interrupt(again), 0);
});

async function untilStored(apiUrl: string, count: number): Promise<void> {
  for (;;) {
    const response = await fetch(`${apiUrl}/api/stats`);
    const { total_documents } = (await response.json()) as { total_documents?: number };
    if ((total_documents ?? 0) >= count) return;
    await pause(100);
  }
}

test('leaves nothing behind when it is killed, and says so at the next start', both, async () => {
  const { env, dataFolder } = await createSettings();
  const local = await startLocal(env);
  const children = childrenOf(dataFolder);
  assert.deepEqual(children.map(({ name }) => name).sort(), ['API', 'Writer']);
  await local.kill();
  await until(() => !children.some(isAlive));
  await until(() => readRun(dataFolder)?.endedByGuard.length === 2);

  await using next = await startLocal(env);
  assert.match(
    next.output(),
    /The last npm start \(process \d+\) died[\s\S]*its guard has ended them: API, Writer/,
  );
  assert.equal(await interrupt(next), 0);
});

test('ends at its start what guard and all left running', both, async () => {
  const { env, dataFolder } = await createSettings();
  const local = await startLocal(env);
  const children = childrenOf(dataFolder);
  const guard = findGuard(dataFolder);
  process.kill(guard, 'SIGSTOP');
  await local.kill();
  process.kill(guard, 'SIGKILL');
  assert.equal(children.filter(isAlive).length, 2);

  await using next = await startLocal(env);
  assert.match(next.output(), /API \(process \d+\) was ended[\s\S]*Writer \(process \d+\) was ended/);
  assert.deepEqual(children.filter(isAlive), []);
  assert.equal(await interrupt(next), 0);
});

test('listens on every address with the api alone, and only when HOST says so', both, async () => {
  const { env, dataFolder } = await createSettings();
  const API_TOKEN = 'a-token-that-is-long-enough-to-be-one';
  await using local = await startLocal({ ...env, HOST: '0.0.0.0', API_TOKEN });
  assert.match(local.output(), /curl -H "authorization: Bearer \$API_TOKEN" /);
  assert.ok(!local.output().includes(API_TOKEN));
  const isOpen = (name: string) =>
    listenersOf(childOf(dataFolder, name).pid).some(({ isLoopback }) => !isLoopback);
  assert.equal(isOpen('API'), true);
  assert.equal(isOpen('Writer'), false);
  assert.equal(await interrupt(local), 0);
});

test('refuses a second one on the same data, and the first goes on', both, async () => {
  const { env, apiUrl } = await createSettings();
  await using local = await startLocal(env);
  const second = await startLocal(env, /runs already/);
  assert.match(second.output(), new RegExp(`\\(process ${local.pid()}\\)`));
  assert.equal(await second.exited(), 1);
  assert.equal((await fetch(`${apiUrl}/readyz`)).status, 200);
  assert.equal(await interrupt(local), 0);
});

test('stops in the middle of its start', both, async () => {
  const DATA_DIR = createFolder();
  const env = { DATA_DIR, MONGODB_URI: mongoDb.uri, PORT: '0', WRITER_PORT: '0', BROKER_PORT: '0' };
  await using local = await startLocal(env, /Broker /);
  await until(() => childrenOf(DATA_DIR).length > 0);
  const children = childrenOf(DATA_DIR);
  assert.equal(await interrupt(local), 0);
  assert.doesNotMatch(local.output(), ready);
  assert.deepEqual(children.filter(isAlive), []);
});

test('stops at once at a second Ctrl-C, and says so by its exit code', both, async () => {
  const { env, dataFolder } = await createSettings();
  await using local = await startLocal(env);
  const children = childrenOf(dataFolder);
  // So that the first Ctrl-C has something to wait for.
  process.kill(childOf(dataFolder, 'API').pid, 'SIGSTOP');
  let exitCode: number | null | undefined;
  void local.exited().then((code) => {
    exitCode = code;
  });
  // One that follows within a second is taken for the first one's echo, so it is pressed until it counts.
  while (exitCode === undefined) {
    process.kill(local.pid(), 'SIGINT');
    await pause(100);
  }
  assert.equal(exitCode, 130);
  assert.match(local.output(), /Stopping at once\.\n/);
  assert.doesNotMatch(local.output(), /Everything has stopped/);
  assert.deepEqual(children.filter(isAlive), []);
});

test('refuses a port that is set and taken, and stops what it had started', both, async (context) => {
  const port = await findFreePort();
  const server = createServer().listen(port, '127.0.0.1');
  context.after(() => server.close());
  const DATA_DIR = createFolder();
  const local = await startLocal({ DATA_DIR, WRITER_PORT: String(port) }, /WRITER_PORT: .* is taken/);
  assert.equal(await local.exited(), 1);
  assert.equal(existsSync(join(DATA_DIR, 'run.json')), false);
});

test('names every bad variable at once, those of api and writer too', async () => {
  const env = {
    PORT: '70000',
    REQUEST_BYTES_MAX: 'many',
    BATCH_AGE_MAX_MS: '-1',
    XDG_CACHE_HOME: 'relative',
  };
  const local = await startLocal(env, /Bad environment variables/);
  assert.equal(await local.exited(), 1);
  for (const name of Object.keys(env)) assert.match(local.output(), new RegExp(`  ${name}: wants`));
});

test('refuses a port for what is not started here', async () => {
  const env = { MONGODB_URI: 'mongodb://127.0.0.1:27017', MONGODB_PORT: '27018' };
  const local = await startLocal(env, /MONGODB_PORT: is for the one that npm start starts/);
  assert.equal(await local.exited(), 1);
});

test('names every variable of its own in --help', async () => {
  const local = await startLocal({}, /Ctrl-C drains/, ['--help']);
  assert.equal(await local.exited(), 0);
  const names = [
    ...['MONGODB_URI', 'PUBSUB_EMULATOR_HOST', 'PUBSUB_PROJECT_ID', 'HOST', 'DATA_DIR', 'XDG_CACHE_HOME'],
    ...['PORT', 'WRITER_PORT', 'BROKER_PORT', 'MONGODB_PORT', 'JAVA_HOME', 'LOG_LEVEL'],
  ];
  for (const name of names) assert.match(local.output(), new RegExp(`^  ${name} `, 'm'));
});

/** The guard is no child: nothing records it. */
function findGuard(dataFolder: string): number {
  const lines = execFileSync('ps', ['-e', '-o', 'pid=', '-o', 'args='], { encoding: 'utf8' }).split('\n');
  const guard = lines.find((line) => line.includes('guard.ts') && line.includes(dataFolder));
  assert.ok(guard);
  return Number.parseInt(guard, 10);
}
