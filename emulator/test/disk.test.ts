/** A disk that is full, and one that fails: what is confirmed stays, what is refused was never there. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Client, credentials } from '@grpc/grpc-js';
import { createFolder } from '../../test/process.ts';
import { until } from '../../test/until.ts';
import type { Broker, BrokerOptions } from '../src/broker/broker.ts';
import { Refusal } from '../src/broker/errors.ts';
import { encodeField } from '../src/protobuf.ts';
import { FakeClock } from './fake-clock.ts';
import { createClient, openBroker } from './harness.ts';
import {
  ackRequest,
  createRawClient,
  publishRequest,
  pullRequest,
  readPulled,
  startProcess,
} from './process.ts';
import { createMessage, pullNow } from './puller.ts';

const topic = 'projects/project/topics/orders';
const subscription = 'projects/project/subscriptions/orders-writer';
const declare = (settings: object) =>
  JSON.stringify({
    topics: [{ name: topic }],
    subscriptions: [{ name: subscription, topic, ackDeadlineSeconds: 600, ...settings }],
  });
const declarations = declare({});
const invalidArgument = 3;
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

/** Takes all the room that is left, that of the reserve too. @returns what gives it back. */
function fillDisk(folder: string): () => void {
  rmSync(join(folder, 'data', 'reserve'));
  const path = join(folder, 'filler');
  const file = openSync(path, 'w');
  for (const bytes of [65_536, 4_096]) {
    assert.throws(() => {
      for (;;) writeSync(file, Buffer.alloc(bytes));
    }, /ENOSPC/);
  }
  closeSync(file);
  return () => rmSync(path);
}

/** How many descriptors this process has of segments in `folder`. */
function openLogs(folder: string): number {
  const descriptors = readdirSync('/proc/self/fd').map((name) => join('/proc/self/fd', name));
  // One was that of the list itself.
  const paths = descriptors.filter((path) => existsSync(path)).map((path) => readlinkSync(path));
  return paths.filter((path) => path.startsWith(folder) && path.includes('.log')).length;
}

/** A broker in this process, on a disk of its own. */
async function openOnSmallDisk(context: TestContext, options: Partial<BrokerOptions> = {}) {
  const folder = mountSmallDisk(context, 8);
  const data = join(folder, 'data');
  const broker = await openBroker(data, { clock: new FakeClock(), ...options });
  await broker.topics.create({ name: topic });
  await broker.subscriptions.create({ name: subscription, topic });
  return { folder, data, broker };
}

function publishText(broker: Broker, text: string): Promise<string[]> {
  return broker.publish(topic, [createMessage(text)]);
}

/** @returns the refusal for want of room that `act` comes to, sooner or later. */
async function untilRefused(act: () => Promise<unknown>): Promise<Refusal> {
  for (;;) {
    try {
      await act();
    } catch (error) {
      assert.ok(error instanceof Refusal && error.code === 'RESOURCE_EXHAUSTED', `${error}`);
      return error;
    }
  }
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
    await this.#call('Subscriber', 'Acknowledge', ackRequest(subscription, pulled));
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

/** Publishes `count` different messages. @returns what is pulled of them. */
async function pullNumbers(call: ReturnType<typeof createRawClient>, count: number) {
  const numbers = Array.from({ length: count }, (_, number) => `${number}`);
  await call('Publisher', 'Publish', publishRequest(topic, numbers));
  return readPulled(await call('Subscriber', 'Pull', pullRequest(subscription, count)));
}

test('confirms no ack and no change that a full disk refused before it is written, and ends the streams of what is deleted', {
  skip: missing('the right to mount a tmpfs', canMount),
}, async (context) => {
  const folder = mountSmallDisk(context, 12);
  const flags = [`--data-dir=${join(folder, 'data')}`, `--declare=${declarations}`];
  let emulator = await startProcess(context, flags);
  let call = createRawClient(context, emulator.port);
  const lateTopic = 'projects/project/topics/late';
  const lateSubscription = 'projects/project/subscriptions/late-audit';
  const deleted = 'projects/project/subscriptions/deleted';
  const ack = (one: { ackId: string }) => call('Subscriber', 'Acknowledge', ackRequest(subscription, [one]));
  const subscribe = (name: string, to: string) =>
    call('Subscriber', 'CreateSubscription', Buffer.concat([encodeField(1, name), encodeField(2, to)]));
  const isRefused = { code: resourceExhausted };

  await subscribe(deleted, topic);
  const stream = createClient(context, emulator).subscription('deleted');
  const ended = once(stream, 'error');
  stream.on('message', () => {});
  const pulled = await pullNumbers(call, 300);
  assert.equal(pulled.length, 300);
  const makeRoom = fillDisk(folder);
  let ackedCount = 0;
  // What is left of the last block takes some.
  await assert.rejects(async () => {
    for (const one of pulled) {
      await ack(one);
      ackedCount++;
    }
  }, isRefused);
  const refused = pulled[ackedCount];
  assert.ok(refused);
  await assert.rejects(ack(refused), isRefused);
  await assert.rejects(call('Publisher', 'CreateTopic', encodeField(1, lateTopic)), isRefused);
  await assert.rejects(call('Subscriber', 'DeleteSubscription', encodeField(1, deleted)), isRefused);
  const [error] = await ended;
  assert.match(String(error), /Resource not found/);

  makeRoom();
  await ack(refused);
  await subscribe(lateSubscription, lateTopic);
  await call('Publisher', 'Publish', publishRequest(lateTopic, ['late']));
  await emulator.kill('SIGKILL');
  emulator = await startProcess(context, flags);
  call = createRawClient(context, emulator.port);
  const again = readPulled(await call('Subscriber', 'Pull', pullRequest(subscription, 1_000)));
  assert.equal(again.length, 300 - ackedCount - 1);
  assert.ok(!again.some(({ text }) => text === refused.text), 'delivered after its ack was confirmed');
  const late = readPulled(await call('Subscriber', 'Pull', pullRequest(lateSubscription, 10)));
  assert.deepEqual(
    late.map(({ text }) => text),
    ['late'],
  );
});

test('under exactly-once delivery confirms an ack that a full disk refused when it comes again and there is room', {
  skip: missing('the right to mount a tmpfs', canMount),
}, async (context) => {
  const folder = mountSmallDisk(context, 12);
  const exactlyOnce = declare({ enableExactlyOnceDelivery: true });
  const flags = [`--data-dir=${join(folder, 'data')}`, `--declare=${exactlyOnce}`];
  const { port } = await startProcess(context, flags);
  const call = createRawClient(context, port);
  const ack = (one: { ackId: string }) => call('Subscriber', 'Acknowledge', ackRequest(subscription, [one]));
  const pulled = await pullNumbers(call, 300);
  const makeRoom = fillDisk(folder);
  let refused: (typeof pulled)[number] | undefined;
  // What is left of the last block takes some.
  await assert.rejects(
    async () => {
      for (refused = pulled.shift(); refused; refused = pulled.shift()) await ack(refused);
    },
    { code: resourceExhausted },
  );
  const streamed = pulled.shift();
  assert.ok(refused && streamed);
  await assert.rejects(ack(refused), { code: resourceExhausted });
  assert.equal(await refusalOfStream(context, port, streamed.ackId), resourceExhausted);

  makeRoom();
  await ack(refused);
  await ack(streamed);
  await assert.rejects(ack(refused), { code: invalidArgument });
  const again = readPulled(await call('Subscriber', 'Pull', pullRequest(subscription, 300)));
  assert.deepEqual(again, []);
});

/** Acks on a stream. @returns the code with which that ends. */
async function refusalOfStream(context: TestContext, port: number, ackId: string): Promise<number> {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  context.after(() => client.close());
  const asBytes = (bytes: Buffer) => bytes;
  const path = '/google.pubsub.v1.Subscriber/StreamingPull';
  const stream = client.makeBidiStreamRequest(path, asBytes, asBytes);
  stream.resume();
  stream.write(
    Buffer.concat([encodeField(1, subscription), Buffer.from([5 << 3, 60]), encodeField(2, ackId)]),
  );
  const [{ code }] = (await once(stream, 'error')) as [{ code: number }];
  return code;
}

test('gives the room of the reserve to acks alone, and takes messages again when it is put back', {
  skip: missing('the right to mount a tmpfs', canMount),
}, async (context) => {
  const { data, broker } = await openOnSmallDisk(context, { segmentBytes: 1_000_000 });
  context.after(() => broker.close());
  const reserve = join(data, 'reserve');
  const filler = 'x'.repeat(3_000);
  const texts = new Set<string>();
  await untilRefused(async () => {
    const text = `${texts.size} ${filler}`;
    await publishText(broker, text);
    texts.add(text);
  });
  const pulled = await pullNow(broker, subscription, 10_000);
  assert.equal(pulled.length, texts.size);
  const ack = async (count: number) => {
    broker.subscriptions.get(subscription).acknowledge(pulled.splice(0, count).map(({ id }) => id));
    await broker.acksCommitted();
  };
  await until(async () => {
    await ack(1);
    return !existsSync(reserve);
  });
  await assert.rejects(publishText(broker, filler), /No space is left/);
  await ack(pulled.length);
  await until(async () => {
    await broker.sweep();
    return publishText(broker, filler).catch(() => false);
  });
  assert.ok(existsSync(reserve));
});

test('delivers to a subscription that was made on a full disk what is published after kill -9', {
  skip: missing('the right to mount a tmpfs', canMount),
}, async (context) => {
  const { data, broker } = await openOnSmallDisk(context);
  context.after(() => broker.close());
  await untilRefused(() => publishText(broker, 'x'.repeat(100_000)));
  const late = `${subscription}-late`;
  await broker.subscriptions.create({ name: late, topic });
  const killed = createFolder();
  cpSync(data, killed, { recursive: true });
  const again = await openBroker(killed);
  context.after(() => again.close());
  for (let number = 0; number < 3; number++) await publishText(again, `${number}`);
  assert.deepEqual(
    (await pullNow(again, late, 10)).map(({ text }) => text),
    ['0', '1', '2'],
  );
});

test('leaves no file and no descriptor behind when a full disk has no room for the next segment', {
  skip: missing('the right to mount a tmpfs', canMount),
}, async (context) => {
  const page = 4_096;
  // Ends so close to a page that the rest of that holds another ack, but no index.
  const { folder, data, broker } = await openOnSmallDisk(context, { segmentBytes: 2 * page - 100 });
  context.after(() => broker.close());
  const logs = () => readdirSync(data).filter((name) => name.endsWith('.log'));
  const lastBytes = () => statSync(join(data, logs().at(-1) ?? '')).size;
  await broker.publish(
    topic,
    Array.from({ length: 200 }, () => createMessage('x')),
  );
  do await publishText(broker, 'x'.repeat(100));
  while (lastBytes() < page + 100 || lastBytes() > page + 1_000);
  const pulled = await pullNow(broker, subscription, 1_000);
  fillDisk(folder);
  await untilRefused(async () => {
    broker.subscriptions.get(subscription).acknowledge(pulled.splice(0, 1).map(({ id }) => id));
    await broker.acksCommitted();
  });
  assert.ok(lastBytes() > 2 * page - 100, 'nothing was to be rolled');
  assert.equal(openLogs(data), logs().length);
});

test('starts on a full disk with a commit that was cut short', {
  skip: missing('the right to mount a tmpfs', canMount),
}, async (context) => {
  const { folder, data, broker } = await openOnSmallDisk(context, { segmentBytes: 1_000_000 });
  await publishText(broker, 'kept');
  await broker.close();
  const [log = ''] = readdirSync(data).filter((name) => name.endsWith('.log'));
  appendFileSync(join(data, log), Buffer.alloc(500_000));
  fillDisk(folder);
  const warnings: string[] = [];
  const again = await openBroker(data, {
    clock: new FakeClock(),
    onWarning: (message) => warnings.push(message),
  });
  context.after(() => again.close());
  assert.match(warnings.join(), /not finished.*no room/);
  assert.deepEqual(
    (await pullNow(again, subscription, 10)).map(({ text }) => text),
    ['kept'],
  );
});
