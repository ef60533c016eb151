/** The space of messages that nobody needs, behind and between some that are kept for long. */
import assert from 'node:assert/strict';
import {
  closeSync,
  cpSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { createFolder } from '../../test/process.ts';
import { until } from '../../test/until.ts';
import type { Broker, BrokerOptions } from '../src/broker/broker.ts';
import { SequenceSet } from '../src/broker/sequence-set.ts';
import { FakeClock } from './fake-clock.ts';
import { openBroker } from './harness.ts';
import { createMessage, pullNow } from './puller.ts';

const topic = 'projects/project/topics/orders';
const subscription = 'projects/project/subscriptions/orders-writer';
const segmentBytes = 16_384;
const minute = 60_000;
const filler = 'x'.repeat(1_000);
const runs = Number(process.env.PROPERTY_RUNS ?? 60);

/** Messages 0 to `count`, pulled, and all acked that `isKept` says no to. */
async function fill(broker: Broker, count: number, isKept: (number: number) => boolean): Promise<void> {
  for (let number = 0; number < count; number++) {
    await broker.publish(topic, [createMessage(`${number} ${filler}`)]);
  }
  const pulled = await pullNow(broker, subscription, count);
  const acked = pulled.filter(({ text }) => !isKept(numberOf(text)));
  broker.subscriptions.get(subscription).acknowledge(acked.map(({ id }) => id));
  await broker.acksCommitted();
}

function fail(message: string): never {
  throw new Error(message);
}

const numberOf = (text: string) => Number(text.split(' ')[0]);

async function create(folder: string, clock = new FakeClock(), options: Partial<BrokerOptions> = {}) {
  const broker = await openBroker(folder, { clock, onWarning: fail, ...options });
  await broker.topics.create({ name: topic });
  await broker.subscriptions.create({ name: subscription, topic });
  return { broker, clock };
}

/** Minutes pass, and each time what can be freed is. */
async function pass(broker: Broker, clock: FakeClock, minutes: number): Promise<void> {
  for (let passed = 0; passed < minutes; passed++) {
    await broker.sweep();
    clock.advance(minute);
  }
}

/** The checkpoint behind which segments are freed is written meanwhile. */
async function passUntil(broker: Broker, clock: FakeClock, condition: () => boolean): Promise<void> {
  await until(async () => {
    await pass(broker, clock, 2);
    return condition();
  });
}

function logsOf(folder: string): string[] {
  return readdirSync(folder).filter((name) => name.endsWith('.log'));
}

function bytesOf(folder: string): number {
  return logsOf(folder).reduce((bytes, name) => bytes + statSync(join(folder, name)).size, 0);
}

test('gives back the space around messages that nobody acks', async () => {
  const folder = createFolder();
  const { broker, clock } = await create(folder);
  await fill(broker, 600, (number) => number % 50 === 7);
  assert.ok(logsOf(folder).length > 30);
  // The 12 that are kept are less than a segment; the segment in use is the other.
  await passUntil(
    broker,
    clock,
    () => bytesOf(folder) < 3 * segmentBytes && broker.storedBytes === bytesOf(folder),
  );
  clock.advance(10 * minute);
  const kept = (await pullNow(broker, subscription, 100)).map(({ text }) => numberOf(text));
  assert.deepEqual(
    kept,
    Array.from({ length: 12 }, (_, at) => at * 50 + 7),
  );
  await broker.close();
});

test('leaves a backlog alone that is being acked, and one that is needed', async () => {
  const folder = createFolder();
  const { broker, clock } = await create(folder);
  await fill(broker, 200, (number) => number % 2 === 0);
  const before = logsOf(folder).map((name) => statSync(join(folder, name)).ino);
  await pass(broker, clock, 20);
  assert.deepEqual(
    logsOf(folder).map((name) => statSync(join(folder, name)).ino),
    before,
  );
  await broker.close();
});

test('takes publishes again at the limit of the folder, with a message in every segment that nobody acks', async () => {
  const folder = createFolder();
  const { broker, clock } = await create(folder, new FakeClock(), { folderBytesMax: 220_000 });
  await fill(broker, 200, (number) => number % 15 === 0);
  await assert.rejects(broker.publish(topic, [createMessage(filler.repeat(10))]), /over its limit/);
  await passUntil(broker, clock, () => broker.storedBytes < 100_000);
  await broker.publish(topic, [createMessage(filler.repeat(10))]);
  await broker.close();
});

test('keeps the few messages that only a snapshot needs', async () => {
  const folder = createFolder();
  const { broker, clock } = await create(folder);
  const snapshot = 'projects/project/snapshots/before';
  await fill(broker, 200, (number) => number % 15 === 0);
  await broker.snapshots.create({ name: snapshot, subscription, labels: {} });
  clock.advance(10 * minute);
  const rest = await pullNow(broker, subscription, 100);
  assert.equal(rest.length, 14);
  broker.subscriptions.get(subscription).acknowledge(rest.map(({ id }) => id));
  await broker.acksCommitted();
  await passUntil(broker, clock, () => bytesOf(folder) < 3 * segmentBytes);
  await broker.seek.toSnapshot(subscription, snapshot);
  assert.deepEqual(
    (await pullNow(broker, subscription, 100)).map(({ text }) => text),
    rest.map(({ text }) => text),
  );
  await broker.close();
});

test('names a file that is damaged where a needed message is, and keeps it', async () => {
  const folder = createFolder();
  const clock = new FakeClock();
  const warnings: string[] = [];
  const { broker } = await create(folder, clock, { onWarning: (message) => warnings.push(message) });
  await fill(broker, 60, (number) => number === 20);
  const damaged = logsOf(folder).find((name) => readFileSync(join(folder, name)).includes('20 xxx')) ?? '';
  const path = join(folder, damaged);
  const bytes = readFileSync(path);
  const at = bytes.indexOf('20 xxx') + 100;
  bytes[at] = 0;
  // In place: the emulator has the file open.
  const file = openSync(path, 'r+');
  writeFileSync(file, bytes);
  closeSync(file);
  await passUntil(broker, clock, () => warnings.length > 0);
  assert.match(warnings.join(), new RegExp(`${damaged} is damaged at byte`));
  assert.deepEqual(readFileSync(path), bytes);
  // It is tried again after a minute, and the clock was ahead of the next try's end.
  await until(() => !readdirSync(folder).some((name) => name.endsWith('.unfinished')));
  await broker.close();
});

test('reads a compacted file from its beginning when its end does not say where the index is', async () => {
  const folder = createFolder();
  const { broker: first, clock } = await create(folder);
  await fill(first, 200, (number) => number % 15 === 0);
  await first.close();
  const broker = await openBroker(folder, { clock, onWarning: fail });
  await passUntil(broker, clock, () => bytesOf(folder) < 3 * segmentBytes);
  await broker.close();
  const [compacted = ''] = logsOf(folder).sort();
  const path = join(folder, compacted);
  const bytes = readFileSync(path);
  bytes.fill(0xff, bytes.length - 6);
  writeFileSync(path, bytes);
  clock.advance(10 * minute);
  const again = await openBroker(folder, { clock, onWarning: fail });
  assert.equal((await pullNow(again, subscription, 100)).length, 14);
  await again.close();
});

test('starts with what a crash in a compaction leaves: half a file, or the new one beside the old', async (context) => {
  const folder = createFolder();
  const { broker: first, clock } = await create(folder);
  await fill(first, 200, (number) => number % 15 === 0);
  // With a checkpoint at its end, behind which all of it can be freed.
  await first.close();
  const before = createFolder();
  cpSync(folder, before, { recursive: true });
  const broker = await openBroker(folder, { clock, onWarning: fail });
  await passUntil(broker, clock, () => bytesOf(folder) < 3 * segmentBytes);
  const after = createFolder();
  cpSync(folder, after, { recursive: true });
  await broker.close();
  const compacted = logsOf(after).find(
    (name) =>
      logsOf(before).includes(name) && statSync(join(after, name)).size !== statSync(join(before, name)).size,
  ) as string;
  const wanted = Array.from({ length: 14 }, (_, at) => at * 15);

  await context.test('half a file', async () => {
    const half = readFileSync(join(after, compacted));
    writeFileSync(join(before, `${compacted}.unfinished`), half.subarray(0, half.length / 2));
    await check(before);
  });
  await context.test('the new one beside the old', async () => {
    cpSync(join(after, compacted), join(before, compacted));
    await check(before);
  });

  async function check(source: string): Promise<void> {
    const crashed = createFolder();
    cpSync(source, crashed, { recursive: true });
    rmSync(join(crashed, 'lock'), { recursive: true, force: true });
    const later = new FakeClock();
    later.advance(100 * minute);
    const again = await openBroker(crashed, { clock: later, onWarning: fail });
    assert.ok(!readdirSync(crashed).some((name) => name.endsWith('.unfinished')));
    const kept = await pullNow(again, subscription, 100);
    assert.deepEqual(
      kept.map(({ text }) => numberOf(text)),
      wanted,
    );
    await passUntil(again, later, () => bytesOf(crashed) < 3 * segmentBytes);
    later.advance(10 * minute);
    assert.equal((await pullNow(again, subscription, 100)).length, wanted.length);
    const onDisk = logsOf(crashed).flatMap((name) => {
      const bytes = readFileSync(join(crashed, name), 'latin1');
      return [...bytes.matchAll(/(\d+) x{100}/g)].map(([, number]) => Number(number));
    });
    assert.deepEqual(
      onDisk.filter((number) => wanted.includes(number)),
      wanted,
    );
    await again.close();
  }
});

test('keeps every message that is not acked over compactions and restarts', async () => {
  const step = fc.oneof(
    fc.record({ type: fc.constant('publish' as const), count: fc.integer({ min: 1, max: 60 }) }),
    fc.record({ type: fc.constant('ack' as const), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
    fc.constant({ type: 'settle' as const }),
    fc.constant({ type: 'restart' as const }),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 4, maxLength: 24 }),
      fc.infiniteStream(fc.nat(99)),
      async (steps, random) => {
        const folder = createFolder();
        const clock = new FakeClock();
        let { broker } = await create(folder, clock);
        let next = 0;
        let model: number[] = [];
        for (const step of steps) {
          if (step.type === 'publish') {
            const numbers = Array.from({ length: step.count }, () => next++);
            await broker.publish(
              topic,
              numbers.map((number) => createMessage(`${number} ${filler.slice(0, 400)}`)),
            );
            model.push(...numbers);
          } else if (step.type === 'restart') {
            await broker.close();
            broker = await openBroker(folder, { clock, onWarning: fail });
          } else if (step.type === 'settle') await pass(broker, clock, 3);
          if (step.type === 'publish' || model.length === 0) continue;
          clock.advance(10 * minute);
          const pulled = await pullNow(broker, subscription, 10_000);
          // Those that were leased before come in turns with the others.
          const numbers = pulled.map(({ text }) => numberOf(text)).sort((a, b) => a - b);
          assert.deepEqual(numbers, model);
          const share = step.type === 'ack' ? step.share * 100 : 0;
          const acked = new Set(model.filter(() => (random.next().value ?? 0) < share));
          const ids = pulled.filter(({ text }) => acked.has(numberOf(text))).map(({ id }) => id);
          broker.subscriptions.get(subscription).acknowledge(ids);
          await broker.acksCommitted();
          model = model.filter((number) => !acked.has(number));
        }
        await broker.close();
        rmSync(folder, { recursive: true });
      },
    ),
    { numRuns: runs },
  );
});

test('counts what a set of sequence numbers lacks as one by one, also over full pages and from its state', () => {
  const pages = 3 * 32_768;
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(pages), fc.nat(pages)), { minLength: 1, maxLength: 6 }),
      fc.nat(50),
      fc.array(fc.tuple(fc.nat(pages), fc.nat(pages)), { minLength: 1, maxLength: 4 }),
      (ranges, through, questions) => {
        let set = new SequenceSet(through);
        const model = new Uint8Array(pages + 2);
        model.fill(1, 0, through + 1);
        for (const [a, b] of ranges) {
          const [first, last] = a < b ? [a, b] : [b, a];
          set.addRange(first, last);
          model.fill(1, first, last + 1);
        }
        for (set of [set, SequenceSet.from(JSON.parse(JSON.stringify(set.state())))]) {
          for (const [a, b] of questions) {
            const [first, last] = a < b ? [a, b] : [b, a];
            let missing = 0;
            for (let at = first; at <= last; at++) missing += model[at] ? 0 : 1;
            assert.equal(set.missingBetween(first, last), missing);
            const nextMissing = model.indexOf(0, first);
            assert.equal(set.nextMissing(first), nextMissing);
            assert.equal(set.has(first), model[first] === 1);
          }
        }
      },
    ),
    { numRuns: runs },
  );
});
