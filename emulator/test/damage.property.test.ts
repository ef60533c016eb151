/**
 * A data folder in which a byte changed, or a file was cut, anywhere: it is named in an error, or a warning says what
 * was cut off, or nothing that was confirmed is missing. Never is less there without a word.
 */
import assert from 'node:assert/strict';
import { cpSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import fc from 'fast-check';
import { createFolder } from '../../test/process.ts';
import type { Broker } from '../src/broker/broker.ts';
import { Refusal } from '../src/broker/errors.ts';
import { DamagedFolder } from '../src/store/errors.ts';
import { openBroker } from './harness.ts';
import { createMessage, pullNow } from './puller.ts';

const topic = 'projects/project/topics/orders';
const subscription = 'projects/project/subscriptions/orders-writer';
const count = 80;
const ackedCount = 30;
const runs = Number(process.env.PROPERTY_RUNS ?? 60);
const warnings: string[] = [];
const onWarning = (message: string) => warnings.push(message);

const text = (number: number) => `${number} ${'x'.repeat(1_000)}`;

/** The same content, closed in order and as a kill leaves it. */
const folders = { closed: createFolder(), killed: createFolder() };

before(async () => {
  const broker = await openBroker(folders.closed, { onWarning });
  await broker.topics.create({ name: topic });
  await broker.subscriptions.create({ name: subscription, topic });
  for (let number = 0; number < count; number++) {
    await broker.publish(topic, [createMessage(text(number))]);
  }
  const pulled = await pullNow(broker, subscription, ackedCount);
  broker.subscriptions.get(subscription).acknowledge(pulled.map(({ id }) => id));
  await broker.acksCommitted();
  cpSync(folders.closed, folders.killed, { recursive: true });
  await broker.close();
});

const damage = fc.record({
  file: fc.nat(),
  place: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  bit: fc.nat(7),
  kind: fc.constantFrom('flipped', 'cut', 'deleted'),
});

for (const state of ['closed', 'killed'] as const) {
  test(`says what is wrong with a damaged folder: ${state}`, async () => {
    await fc.assert(
      fc.asyncProperty(damage, async ({ file, place, bit, kind }) => {
        const folder = createFolder();
        cpSync(folders[state], folder, { recursive: true });
        const names = readdirSync(folder).filter((name) => name !== 'lock');
        const path = join(folder, names[file % names.length] ?? '');
        const lastLog = join(
          folder,
          names
            .filter((name) => name.endsWith('.log'))
            .sort()
            .at(-1) ?? '',
        );
        const bytes = readFileSync(path);
        const at = Math.floor(place * bytes.length);
        if (kind === 'deleted') rmSync(path);
        else if (kind === 'cut') truncateSync(path, at);
        else {
          bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
          writeFileSync(path, bytes);
        }
        warnings.length = 0;
        try {
          await check(folder, { mayEndEarly: state === 'killed' && kind !== 'flipped' && path === lastLog });
        } finally {
          rmSync(folder, { recursive: true });
        }
      }),
      { numRuns: runs },
    );
  });
}

/** `mayEndEarly`: what a kill leaves ends anywhere, and an end that is missing cannot be told from one that never was. */
async function check(folder: string, { mayEndEarly }: { mayEndEarly: boolean }): Promise<void> {
  let broker: Broker;
  try {
    broker = await openBroker(folder, { onWarning });
  } catch (error) {
    assert.ok(error instanceof DamagedFolder, `${error}`);
    assert.ok(error.message.includes(folder), error.message);
    return;
  }
  try {
    const found = new Set<string>();
    for (;;) {
      const pulled = await pullNow(broker, subscription, 1_000, 600_000);
      if (pulled.length === 0) break;
      for (const one of pulled) found.add(one.text);
    }
    const lost = [];
    for (let number = ackedCount; number < count; number++) if (!found.has(text(number))) lost.push(number);
    const isEnd = lost.at(-1) === count - 1 && lost.length === count - (lost[0] ?? count);
    const isSaid = warnings.length > 0 || (mayEndEarly && isEnd);
    assert.ok(lost.length === 0 || isSaid, `${lost} are missing without a word`);
    for (const one of found) assert.equal(one, text(Number(one.split(' ')[0])));
  } catch (error) {
    // A message that was not looked at by the start: its reader is told.
    if (!(error instanceof Refusal)) throw error;
    assert.ok(error.code === 'DATA_LOSS' || warnings.length > 0, error.message);
  } finally {
    await broker.close();
  }
}
