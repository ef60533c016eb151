import assert from 'node:assert/strict';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { startMongoDb as startRealMongoDb } from '../../test/parts.ts';
import { createFolder, findFreePort } from '../../test/process.ts';
import { needs } from '../../test/programs.ts';
import type { Child, ChildOptions } from '../child.ts';
import type { Config } from '../config.ts';
import { startMongoDb, withoutPassword } from '../mongodb.ts';
import { StartError } from '../start-error.ts';
import { createRecordingTerminal } from './recording-terminal.ts';

before(async () => {
  // Nothing is downloaded in these tests.
  process.env.MONGOMS_USE_HTTP = 'true';
  process.env.MONGOMS_DOWNLOAD_MIRROR = `http://127.0.0.1:${await findFreePort()}`;
});

/** A machine with these programs on PATH, whose exit code is given, and what is started on it. */
function createMachine(programs: Record<string, number>, given: Partial<Config> = {}) {
  const pathFolder = createFolder();
  for (const [name, exitCode] of Object.entries(programs)) {
    writeFileSync(join(pathFolder, name), `#!/bin/sh\nexit ${exitCode}\n`, { mode: 0o755 });
  }
  const dataFolder = createFolder();
  const config = {
    DATA_DIR: dataFolder,
    cacheFolder: createFolder(),
    logFolder: dataFolder,
    searchPath: [pathFolder],
    environment: {},
    ...given,
  } as Config;
  const { terminal, text } = createRecordingTerminal();
  const started: ChildOptions[] = [];
  const failing = new Set<string>();

  async function startChild(options: ChildOptions): Promise<Child> {
    started.push(options);
    if ([...failing].some((name) => options.command.endsWith(name))) {
      throw new StartError('MongoDB ended before it was ready (exit code 1).');
    }
    return {} as Child;
  }

  return {
    dataFolder,
    pathFolder,
    started,
    failing,
    text,
    start: () =>
      startMongoDb({
        config,
        terminal,
        port: { port: 27_017 },
        signal: new AbortController().signal,
        runState: { add() {}, remove() {} },
        startChild,
      }),
    fill(folderName: string) {
      mkdirSync(join(dataFolder, folderName));
      writeFileSync(join(dataFolder, folderName, 'WiredTiger'), '');
    },
  };
}

test("takes the mongod on PATH with the manifest's limits", async () => {
  const machine = createMachine({ mongod: 0, 'secantusd-rs': 0 });
  assert.equal(await machine.start(), 'mongodb://127.0.0.1:27017/assessmentdb');
  const [mongod] = machine.started;
  assert.equal(mongod?.command, join(machine.pathFolder, 'mongod'));
  const args = mongod?.args.join(' ') ?? '';
  assert.ok(args.startsWith(`--bind_ip 127.0.0.1 --port 27017 --dbpath ${machine.dataFolder}/mongod `));
  assert.match(args, /--wiredTigerCacheSizeGB 0\.25/);
  assert.match(args, /wiredTigerConcurrentReadTransactions=10/);
  assert.match(args, /wiredTigerConcurrentWriteTransactions=10/);
});

test('passes over what does not work, and says why', async () => {
  const machine = createMachine({ mongod: 1, 'secantusd-rs': 0 });
  await machine.start();
  assert.deepEqual(
    machine.started.map(({ command }) => command),
    [join(machine.pathFolder, 'secantusd-rs')],
  );
  assert.match(machine.text(), /mongod does not run/);
  assert.match(machine.text(), /cannot be downloaded \(.*ECONNREFUSED/);
});

test('passes over a mongod that does not start on an empty folder', async () => {
  const machine = createMachine({ mongod: 0, 'secantusd-rs': 0 });
  machine.failing.add('mongod');
  await machine.start();
  assert.equal(machine.started.at(-1)?.command, join(machine.pathFolder, 'secantusd-rs'));
  assert.match(machine.text(), /mongod on PATH did not start/);
  assert.equal(existsSync(join(machine.dataFolder, 'mongod')), false);
});

test('stays with the engine that filled the data folder', async () => {
  const machine = createMachine({ mongod: 0, 'secantusd-rs': 0 });
  machine.fill('secantusd-rs');
  await machine.start();
  assert.deepEqual(
    machine.started.map(({ command }) => command),
    [join(machine.pathFolder, 'secantusd-rs')],
  );
  assert.match(machine.text(), /secantusd-rs holds its data/);
});

test('starts no other engine in place of one that does not open its data', async () => {
  const machine = createMachine({ mongod: 0, 'secantusd-rs': 0 });
  machine.fill('secantusd-rs');
  machine.failing.add('secantusd-rs');
  await assert.rejects(machine.start(), /^StartError: [\s\S]*holds data, so nothing else is tried/);
  assert.equal(machine.started.length, 1);
  assert.equal(existsSync(join(machine.dataFolder, 'secantusd-rs', 'WiredTiger')), true);
});

test('warns of data that the only engine here does not read', async () => {
  const machine = createMachine({ mongod: 0 });
  machine.fill('secantusd-rs');
  await machine.start();
  assert.match(machine.text(), /Beware: the data in .*secantusd-rs is not seen now/);
});

test('names the ways out when nothing works', async () => {
  const machine = createMachine({});
  await assert.rejects(machine.start(), (error) => {
    assert.ok(error instanceof StartError);
    for (const problem of ['no mongod on PATH', 'no secantusd-rs on PATH', 'no python3 on PATH']) {
      assert.ok(error.message.includes(problem), problem);
    }
    for (const way of ['MONGODB_URI=', 'cargo install', 'pip']) assert.ok(error.message.includes(way), way);
    return true;
  });
  assert.deepEqual(machine.started, []);
});

test('uses MONGODB_URI and starts nothing', needs('mongodb'), async () => {
  await using real = await startRealMongoDb();
  const machine = createMachine({ mongod: 0 }, { MONGODB_URI: real.uri });
  assert.equal(await machine.start(), real.uri);
  assert.deepEqual(machine.started, []);
  assert.match(machine.text(), /because MONGODB_URI says so/);
});

test('says that nothing answers at MONGODB_URI, without its password', async () => {
  const MONGODB_URI = `mongodb://user:secret@127.0.0.1:${await findFreePort()}/assessmentdb`;
  const machine = createMachine({ mongod: 0 }, { MONGODB_URI });
  await assert.rejects(machine.start(), (error) => {
    assert.ok(error instanceof StartError);
    assert.match(error.message, /^MONGODB_URI: no MongoDB answers at mongodb:\/\/\*\*\*@127\.0\.0\.1/);
    return !error.message.includes('secret');
  });
  assert.ok(!machine.text().includes('secret'));
});

test('hides user, password and options of a URI', () => {
  assert.equal(withoutPassword('mongodb://a:b%40c@host:1/db'), 'mongodb://***@host:1/db');
  assert.equal(withoutPassword('mongodb+srv://a:b@host/db?x=@'), 'mongodb+srv://***@host/db');
  assert.equal(withoutPassword('mongodb://host:1/db'), 'mongodb://host:1/db');
  assert.equal(withoutPassword('mongodb://h/?proxyPassword=secret'), 'mongodb://h/');
});
