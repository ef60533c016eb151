/** A disk that is full, and one that fails: what is confirmed stays, what is refused was never there. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createFolder } from '../../test/process.ts';
import { until } from '../../test/until.ts';
import { encodeField } from '../src/protobuf.ts';
import { createRawClient, publishRequest, pullRequest, readPulled, startProcess } from './process.ts';

const topic = 'projects/project/topics/orders';
const subscription = 'projects/project/subscriptions/orders-writer';
const declarations = JSON.stringify({
  topics: [{ name: topic }],
  subscriptions: [{ name: subscription, topic, ackDeadlineSeconds: 600 }],
});
const resourceExhausted = 8;

const missing = (what: string, isThere: boolean) =>
  isThere || process.env.CI === 'true' ? false : `missing: ${what}`;
const canMount = spawnSync('unshare', ['-m', 'true']).status === 0;
const canTrace = spawnSync('strace', ['-e', 'trace=none', 'true']).status === 0;

/** A tmpfs of its own, so that nothing else fills or frees it. */
function mountSmallDisk(context: TestContext, megabytes: number): string {
  const folder = join(createFolder(), 'disk');
  mkdirSync(folder);
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', folder]);
  assert.equal(mounted.status, 0, `A tmpfs cannot be mounted, which needs root: ${mounted.stderr}`);
  context.after(() => spawnSync('umount', ['-l', folder]));
  return folder;
}

class Load {
  readonly confirmed = new Set<string>();
  readonly refused = new Set<string>();
  refusal = '';
  #call: ReturnType<typeof createRawClient>;
  #count = 0;

  constructor(context: TestContext, port: number) {
    this.#call = createRawClient(context, port);
  }

  /** @returns whether it was confirmed. */
  async publish(count = 100): Promise<boolean> {
    const texts = Array.from({ length: count }, () => `${process.pid}-${this.#count++}-${'x'.repeat(3_000)}`);
    try {
      await this.#call('Publisher', 'Publish', publishRequest(topic, texts));
      for (const text of texts) this.confirmed.add(text);
      return true;
    } catch (error) {
      const { code, message } = error as { code: number; message: string };
      assert.equal(code, resourceExhausted, message);
      this.refusal = message;
      for (const text of texts) this.refused.add(text);
      return false;
    }
  }

  async pull(count: number): Promise<{ ackId: string; text: string }[]> {
    const pulled = readPulled(await this.#call('Subscriber', 'Pull', pullRequest(subscription, count)));
    for (const { text } of pulled) {
      assert.ok(!this.refused.has(text), 'delivered what it had refused');
      assert.ok(this.confirmed.has(text), 'delivered what was not confirmed, or twice');
    }
    return pulled;
  }

  async ack(pulled: { ackId: string; text: string }[]): Promise<void> {
    const ids = pulled.map(({ ackId }) => encodeField(2, ackId));
    await this.#call('Subscriber', 'Acknowledge', Buffer.concat([encodeField(1, subscription), ...ids]));
    for (const { text } of pulled) this.confirmed.delete(text);
  }

  /** To be called when nothing is leased. */
  async ackAll(): Promise<void> {
    for (let pulled = await this.pull(1_000); pulled.length > 0; pulled = await this.pull(1_000)) {
      await this.ack(pulled);
    }
    assert.equal(this.confirmed.size, 0, 'lost what it had confirmed');
  }
}

test('refuses publishes on a full disk, goes on with the rest, survives kill -9 there, and recovers', {
  skip: missing('the right to mount a tmpfs', canMount),
}, async (context) => {
  const folder = mountSmallDisk(context, 80);
  const flags = [`--data-dir=${join(folder, 'data')}`, `--declare=${declarations}`];
  const start = () => startProcess(context, flags);
  let emulator = await start();
  const load = new Load(context, emulator.port);
  while (await load.publish()) {
    // until the disk is full
  }
  assert.match(load.refusal, /No space is left on the disk of .*: \d+ bytes were not kept/);
  assert.ok(load.confirmed.size > 15_000, `${load.confirmed.size} were confirmed`);
  // Large ones do not fit; what frees room does.
  const pulled = await load.pull(1_000);
  await load.ack(pulled);
  assert.equal((await fetch(`http://127.0.0.1:${emulator.port}/healthz`)).status, 200);
  await emulator.kill('SIGKILL');

  emulator = await start();
  const again = new Load(context, emulator.port);
  for (const text of load.confirmed) again.confirmed.add(text);
  for (const text of load.refused) again.refused.add(text);
  assert.equal(await again.publish(), false);
  await again.ackAll();
  await until(() => again.publish());
  await again.ackAll();
  assert.equal(await emulator.kill('SIGTERM'), 0);
});

// Above and below the size of a segment without a limit.
for (const bytesMax of [10_000_000, 70_000_000]) {
  test(`refuses publishes over its own limit of ${bytesMax}, with the numbers, and takes them again once there is room`, async (context) => {
    const folder = `--data-dir=${createFolder()}`;
    const flags = [folder, `--declare=${declarations}`, `--data-bytes-max=${bytesMax}`];
    const emulator = await startProcess(context, flags);
    const load = new Load(context, emulator.port);
    while (await load.publish()) {
      // until the limit is reached
    }
    const refusal = `\\d+ bytes are kept in .* over its limit of ${bytesMax} bytes.*Acknowledge or purge`;
    assert.match(load.refusal, new RegExp(refusal));
    await load.ackAll();
    await until(() => load.publish());
    assert.equal(await emulator.kill('SIGTERM'), 0);
  });
}

test('ends when a sync fails, says so, and has confirmed nothing that the disk does not hold', {
  skip: missing('strace', canTrace),
}, async (context) => {
  const folder = createFolder();
  const flags = [`--data-dir=${join(folder, 'data')}`, `--declare=${declarations}`];
  const inject = ['-e', 'trace=fdatasync', '-e', 'inject=fdatasync:error=EIO:when=20+'];
  const wrapper = ['strace', '-f', '-o', join(folder, 'trace'), ...inject];
  const failing = await startProcess(context, flags, wrapper);
  const load = createRawClient(context, failing.port);
  const confirmed = new Set<string>();
  await assert.rejects(async () => {
    for (let number = 0; ; number++) {
      await load('Publisher', 'Publish', publishRequest(topic, [`${number}`]));
      confirmed.add(`${number}`);
    }
  });
  assert.equal(await failing.exited(), 1);
  assert.match(failing.output(), /The data folder cannot be written: EIO/);
  const emulator = await startProcess(context, flags);
  const call = createRawClient(context, emulator.port);
  const found = readPulled(await call('Subscriber', 'Pull', pullRequest(subscription, 1_000)));
  const lost = [...confirmed].filter((one) => !found.some(({ text }) => text === one));
  assert.deepEqual(lost, []);
});
