/**
 * Kill -9 under load: everything confirmed comes back, nothing whose ack was confirmed does. CRASH_ROUNDS=500 for more.
 * The page cache outlives a killed process, so a trace of the system calls shows besides that an answer follows its sync.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createFolder } from '../../test/process.ts';
import { until } from '../../test/until.ts';
import {
  ackRequest,
  createRawClient,
  publishRequest,
  pullRequest,
  readPulled,
  startProcess,
} from './process.ts';

const topic = 'projects/project/topics/orders';
const subscription = 'projects/project/subscriptions/orders-writer';
const rounds = Number(process.env.CRASH_ROUNDS ?? 50);
const declarations = JSON.stringify({
  topics: [{ name: topic }],
  subscriptions: [{ name: subscription, topic, ackDeadlineSeconds: 600 }],
});

function start(context: TestContext, folder: string, wrapper: string[] = [], flags: string[] = []) {
  return startProcess(context, [`--data-dir=${folder}`, `--declare=${declarations}`, ...flags], wrapper);
}

test('keeps what it confirmed when it is killed at any moment', async (context) => {
  const folder = createFolder();
  const confirmed = new Set<string>();
  const acked = new Set<string>();
  /** Acks that were asked for: one without an answer may count or not. */
  const ackSent = new Set<string>();
  for (let round = 0; round < rounds; round++) {
    const emulator = await start(context, folder);
    const call = createRawClient(context, emulator.port);
    let isRunning = true;
    const publish = async (lane: number) => {
      for (let number = 0; isRunning; number++) {
        const texts = Array.from(
          { length: 20 },
          (_, at) => `${round}-${lane}-${number}-${at}-${'x'.repeat(1_000)}`,
        );
        await call('Publisher', 'Publish', publishRequest(topic, texts));
        for (const text of texts) confirmed.add(text);
      }
    };
    const consume = async () => {
      while (isRunning) {
        const pulled = readPulled(await call('Subscriber', 'Pull', pullRequest(subscription, 200)));
        const some = pulled.filter((_, at) => at % 3 !== 0);
        if (some.length === 0) continue;
        for (const { text } of pulled) assert.ok(!acked.has(text), 'delivered after its ack was confirmed');
        for (const { text } of some) ackSent.add(text);
        await call('Subscriber', 'Acknowledge', ackRequest(subscription, some));
        for (const { text } of some) acked.add(text);
      }
    };
    const load = Promise.allSettled([publish(0), publish(1), consume()]);
    const before = confirmed.size;
    // A different moment each round, counted in confirmed messages.
    while (confirmed.size < before + 200 + ((round * 733) % 2_000)) await new Promise(setImmediate);
    await emulator.kill('SIGKILL');
    isRunning = false;
    for (const outcome of await load) {
      if (outcome.status === 'rejected')
        assert.match(String(outcome.reason), /UNAVAILABLE|CANCELLED|INTERNAL/);
    }
  }
  const emulator = await start(context, folder);
  const call = createRawClient(context, emulator.port);
  const found = new Set<string>();
  for (;;) {
    const pulled = readPulled(await call('Subscriber', 'Pull', pullRequest(subscription, 1_000)));
    if (pulled.length === 0) break;
    for (const { text } of pulled) {
      assert.ok(!acked.has(text), 'delivered after its ack was confirmed');
      found.add(text);
    }
  }
  const lost = [...confirmed].filter((text) => !ackSent.has(text) && !found.has(text));
  assert.equal(lost.length, 0);
  assert.equal(await emulator.kill('SIGTERM'), 0);
});

test('starts after a kill in the middle of a deletion, while a segment was filled', async (context) => {
  const folder = createFolder();
  // As on a slow disk: a checkpoint is written between one file and the next.
  const slowUnlink = `
    import fs from 'node:fs';
    import { syncBuiltinESMExports } from 'node:module';
    const { unlink } = fs;
    fs.unlink = (path, done) => setTimeout(unlink, 1_000, path, done);
    syncBuiltinESMExports();`;
  const preload = `--import=data:text/javascript,${encodeURIComponent(slowUnlink)}`;
  const flags = ['--data-bytes-max=12000000'];
  const emulator = await start(context, folder, ['env', `NODE_OPTIONS=${preload}`], flags);
  const call = createRawClient(context, emulator.port);
  // Longer than a segment, which is a quarter of the limit.
  const publish = (name: string) =>
    call('Publisher', 'Publish', publishRequest(topic, [name + 'x'.repeat(3_100_000)]));
  const isThere = (segment: number) => existsSync(join(folder, `0000000${segment}.log`));
  const acked: ReturnType<typeof readPulled> = [];
  for (let number = 0; number < 3; number++) {
    await publish('acked');
    acked.push(...readPulled(await call('Subscriber', 'Pull', pullRequest(subscription, 1))));
  }
  assert.equal(acked.length, 3);
  await call('Subscriber', 'Acknowledge', ackRequest(subscription, acked));
  await until(() => !isThere(1));
  assert.ok(isThere(3), 'the deletion is over');
  await publish('kept');
  await until(() => {
    const [, checkpoint = ''] = readFileSync(join(folder, 'checkpoint.json'), 'utf8').split('\n');
    return JSON.parse(checkpoint).segment === 5;
  });
  await until(() => !isThere(3));
  await emulator.kill('SIGKILL');

  const again = await start(context, folder, [], flags);
  const pull = createRawClient(context, again.port);
  const found = readPulled(await pull('Subscriber', 'Pull', pullRequest(subscription, 1)));
  assert.deepEqual(
    found.map(({ text }) => text.slice(0, 4)),
    ['kept'],
  );
  assert.equal(await again.kill('SIGTERM'), 0);
});

/** Whether every answer of a publish, with its message id of 19 digits, was written to its socket after a sync that followed the write of its message. */
function syncsBeforeAnswers(trace: string): { answers: number; unsynced: number } {
  let isWritten = false;
  let isSynced = false;
  let answers = 0;
  let unsynced = 0;
  for (const line of trace.split('\n')) {
    if (/pwrite64\(.*a-message-to-be-traced/.test(line)) {
      isWritten = true;
      isSynced = false;
    } else if (isWritten && /fdatasync.*= 0/.test(line)) isSynced = true;
    else if (isWritten && /(write|writev|sendto|sendmsg)\(.*(grpc-status|\d{19})/.test(line)) {
      answers++;
      if (!isSynced) unsynced++;
      isWritten = false;
    }
  }
  return { answers, unsynced };
}

const canTrace = spawnSync('strace', ['-e', 'trace=none', 'true']).status === 0;

for (const durability of ['disk', 'process']) {
  const what =
    durability === 'disk' ? 'answers a publish only after the sync' : 'does not wait for a sync when told so';
  test(what, { skip: canTrace || process.env.CI === 'true' ? false : 'missing: strace' }, async (context) => {
    const folder = createFolder();
    const file = join(folder, 'trace');
    const calls = 'trace=pwrite64,write,writev,sendto,sendmsg,fdatasync,fsync';
    const emulator = await start(
      context,
      join(folder, 'data'),
      ['strace', '-f', '-s', '4096', '-o', file, '-e', calls],
      [`--durability=${durability}`],
    );
    const call = createRawClient(context, emulator.port);
    for (let number = 0; number < 5; number++) {
      await call('Publisher', 'Publish', publishRequest(topic, [`a-message-to-be-traced ${number}`]));
    }
    const node = execFileSync('pgrep', ['-P', String(emulator.pid)], { encoding: 'utf8' }).trim();
    process.kill(Number(node), 'SIGTERM');
    await emulator.exited();
    const { answers, unsynced } = syncsBeforeAnswers(readFileSync(file, 'latin1'));
    assert.equal(answers, 5);
    assert.equal(unsynced, durability === 'disk' ? 0 : 5);
  });
}
