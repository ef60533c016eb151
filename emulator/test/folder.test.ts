/** What the data folder survives, and what is refused about it. */
import assert from 'node:assert/strict';
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { readdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { createFolder } from '../../test/process.ts';
import { until } from '../../test/until.ts';
import type { Broker } from '../src/broker/broker.ts';
import { DamagedFolder } from '../src/store/errors.ts';
import { headerBytes, readRecord, sealRecord } from '../src/store/record.ts';
import { openBroker, startEmulator } from './harness.ts';
import { runProcess } from './process.ts';
import { createMessage, pullNow } from './puller.ts';

const topic = 'projects/project/topics/orders';
const subscription = 'projects/project/subscriptions/orders-writer';
const text = 'x'.repeat(1_000);

async function createFilled(folder: string, count: number): Promise<Broker> {
  const broker = await openBroker(folder);
  await broker.topics.create({ name: topic });
  await broker.subscriptions.create({ name: subscription, topic });
  for (let number = 0; number < count; number++)
    await broker.publish(topic, [createMessage(`${number} ${text}`)]);
  return broker;
}

async function logsOf(folder: string): Promise<string[]> {
  return (await readdir(folder)).filter((name) => name.endsWith('.log')).sort();
}

/** As it would be after many more commits, when they were counted over the whole log. */
function countCommitsTo(last: number, path: string, segment: number): void {
  const bytes = readFileSync(path);
  const records = [];
  for (let at = 0; at + headerBytes <= bytes.length; ) {
    const record = readRecord(bytes, at, segment);
    assert.ok(typeof record === 'object');
    records.push({ at, record });
    at = record.end;
  }
  const passed = last - (records.at(-1)?.record.commit ?? 0);
  for (const { at, record } of records) {
    const { kind, start, end, commit, isFirstOfCommit: isFirst } = record;
    sealRecord(bytes, at, { kind, payloadBytes: end - start, segment, commit: commit + passed, isFirst });
  }
  writeFileSync(path, bytes);
}

test('refuses a second process on the same folder', async (context) => {
  const dataDir = createFolder();
  await startEmulator(context, { dataDir });
  const { code, output } = await runProcess([`--data-dir=${dataDir}`]);
  assert.equal(code, 1);
  assert.match(output, /in use by another emulator/);
  assert.ok(output.includes(dataDir));
});

test('says of a folder that it cannot be written, not that another emulator has it', async (context) => {
  for (const [why, make] of [
    ['unable to open database file', (lock: string) => mkdirSync(lock)],
    ['file is not a database', (lock: string) => writeFileSync(lock, 'x'.repeat(1_000))],
  ] as const) {
    await context.test(why, async () => {
      const dataDir = createFolder();
      const lock = join(dataDir, 'lock');
      make(lock);
      const { code, output } = await runProcess([`--data-dir=${dataDir}`]);
      assert.equal(code, 1);
      assert.ok(output.includes(`The data folder ${dataDir} cannot be written: ${lock}: ${why}. `), output);
      assert.doesNotMatch(output, /in use/);
    });
  }
});

test('refuses a port that is taken, and names it', async (context) => {
  const server = createServer().listen(0, '127.0.0.1');
  context.after(() => server.close());
  await new Promise((resolve) => server.once('listening', resolve));
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : 0;
  const { code, output } = await runProcess([
    `--host-port=127.0.0.1:${port}`,
    `--data-dir=${createFolder()}`,
  ]);
  assert.equal(code, 1);
  assert.match(output, new RegExp(`127\\.0\\.0\\.1:${port} is taken by another process`));
});

test('cuts off a commit that was not finished, keeps its bytes, and serves the rest', async () => {
  const folder = createFolder();
  await (await createFilled(folder, 5)).close();
  const log = join(folder, (await logsOf(folder)).at(-1) ?? '');
  const end = statSync(log).size;
  appendFileSync(log, Buffer.concat([readFileSync(log).subarray(0, 100)]).subarray(0, 60));
  const warnings: string[] = [];
  const broker = await openBroker(folder, { onWarning: (message) => warnings.push(message) });
  assert.match(warnings[0] ?? '', /not finished/);
  assert.equal((await pullNow(broker, subscription, 10)).length, 5);
  assert.ok((await readdir(folder)).some((name) => name.endsWith(`.cut-at-${end}`)));
  await broker.close();
});

test('keeps what it confirmed after more commits than a record can count', async () => {
  const folder = createFolder();
  await (await createFilled(folder, 5)).close();
  const [log = '', ...others] = await logsOf(folder);
  assert.deepEqual(others, []);
  countCommitsTo(2 ** 31 - 10, join(folder, log), 1);
  const broker = await openBroker(folder);
  // The first fills the segment; the end of the count comes in the next.
  for (const count of [20, ...Array.from({ length: 12 }, () => 1)]) {
    await broker.publish(
      topic,
      Array.from({ length: count }, () => createMessage(text)),
    );
  }
  const killed = createFolder();
  cpSync(folder, killed, { recursive: true });
  await broker.close();
  const warnings: string[] = [];
  const again = await openBroker(killed, { onWarning: (message) => warnings.push(message) });
  assert.deepEqual(warnings, []);
  assert.equal((await pullNow(again, subscription, 100)).length, 5 + 20 + 12);
  await again.close();
});

test('names the file of confirmed messages that are cut short, damaged or missing, and changes nothing', async (context) => {
  for (const [what, damage] of [
    ['cut short', (path: string) => truncateSync(path, statSync(path).size - 100)],
    [
      'damaged',
      (path: string) => {
        const bytes = readFileSync(path);
        bytes[500] = (bytes[500] ?? 0) ^ 0xff;
        writeFileSync(path, bytes);
      },
    ],
    ['missing', (path: string) => rmSync(path)],
  ] as const) {
    await context.test(what, async () => {
      const folder = createFolder();
      await (await createFilled(folder, 5)).close();
      const log = join(folder, (await logsOf(folder)).at(-1) ?? '');
      damage(log);
      const before = await readdir(folder);
      await assert.rejects(openBroker(folder), (error) => {
        assert.ok(error instanceof DamagedFolder);
        assert.ok(error.message.includes(log), error.message);
        assert.match(error.message, /Nothing was changed/);
        return true;
      });
      assert.deepEqual(await readdir(folder), before);
    });
  }
});

test('exits 1 with the name of a damaged checkpoint', async () => {
  const folder = createFolder();
  await (await createFilled(folder, 5)).close();
  const path = join(folder, 'checkpoint.json');
  writeFileSync(path, readFileSync(path, 'utf8').replace('orders', 'borders'));
  const { code, output } = await runProcess([`--data-dir=${folder}`]);
  assert.equal(code, 1);
  assert.match(output, /checkpoint\.json is damaged/);
});

test('says which file is damaged when it comes to a bad message in a full segment', async () => {
  const folder = createFolder();
  await (await createFilled(folder, 50)).close();
  const [, second = ''] = await logsOf(folder);
  const path = join(folder, second);
  const bytes = readFileSync(path);
  bytes[5_000] = (bytes[5_000] ?? 0) ^ 0xff;
  writeFileSync(path, bytes);
  const broker = await openBroker(folder);
  await assert.rejects(
    async () => {
      for (;;) await pullNow(broker, subscription, 100);
    },
    new RegExp(`${second} is damaged at byte`),
  );
  await broker.close();
});

test('gives the space of acked messages back', async () => {
  const folder = createFolder();
  const broker = await createFilled(folder, 200);
  assert.ok((await logsOf(folder)).length > 10);
  const pulled = await pullNow(broker, subscription, 1_000);
  broker.subscriptions.get(subscription).acknowledge(pulled.map(({ id }) => id));
  await broker.acksCommitted();
  await until(async () => {
    await broker.sweep();
    return (await logsOf(folder)).length <= 2;
  });
  await broker.close();
  const again = await openBroker(folder);
  assert.equal(again.backlog()[0]?.unackedCount, 0);
  await again.publish(topic, [createMessage('after')]);
  assert.deepEqual(
    (await pullNow(again, subscription, 10)).map((one) => one.text),
    ['after'],
  );
  await again.close();
});

test('refuses a publish over the limit of the folder, and takes it once there is room', async () => {
  const folder = createFolder();
  const broker = await createFilled(folder, 100);
  await broker.close();
  const limited = await openBroker(folder, { folderBytesMax: 110_000 });
  await assert.rejects(limited.publish(topic, [createMessage(text)]), /over its limit of 110000 bytes/);
  const pulled = await pullNow(limited, subscription, 1_000);
  assert.equal(pulled.length, 100);
  limited.subscriptions.get(subscription).acknowledge(pulled.map(({ id }) => id));
  await limited.acksCommitted();
  await limited.sweep();
  await limited.publish(topic, [createMessage('fits')]);
  assert.deepEqual(
    (await pullNow(limited, subscription, 10)).map((one) => one.text),
    ['fits'],
  );
  await limited.close();
});
