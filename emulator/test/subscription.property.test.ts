/**
 * The subscription as a state machine under a fake clock: whatever the order of publish, pull, ack, nack, modify, expiry,
 * crash and restart, no confirmed message is lost, none is delivered after its ack was confirmed, none is delivered
 * while it is leased, and a key's messages come in their order.
 */
import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { Broker } from '../src/broker/broker.ts';
import { FakeClock } from './fake-clock.ts';
import { createFolder } from './harness.ts';
import { createMessage, type Delivered, pullNow } from './puller.ts';

const topic = 'projects/project/topics/orders';
const subscription = 'projects/project/subscriptions/orders-writer';
const deadlineMs = 10_000;
const runs = Number(process.env.PROPERTY_RUNS ?? 40);

const picks = fc.array(fc.nat(), { minLength: 1, maxLength: 6 });

const operation = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('publish' as const),
      keys: fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 8 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ type: fc.constant('pull' as const), count: fc.integer({ min: 1, max: 10 }) }),
  },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('ack' as const), picks }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('nack' as const), picks }) },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('extend' as const),
      picks,
      seconds: fc.integer({ min: 1, max: 30 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 15_000 }) }),
  },
  { weight: 1, arbitrary: fc.constant({ type: 'crash' as const }) },
  { weight: 1, arbitrary: fc.constant({ type: 'restart' as const }) },
);
type Operation = typeof operation extends fc.Arbitrary<infer Value> ? Value : never;

interface Known {
  text: string;
  key: string;
  isAcked: boolean;
  wasDelivered: boolean;
  /** While it is leased. */
  lease: { delivered: Delivered; until: number } | undefined;
}

/** What has to be true of the subscription, and the operations that are applied to it and to the broker. */
class World {
  clock = new FakeClock();
  known: Known[] = [];
  broker!: Broker;
  #folder = createFolder();
  #isOrdered: boolean;
  #isExactlyOnce: boolean;

  constructor(options: { isOrdered: boolean; isExactlyOnce: boolean }) {
    this.#isOrdered = options.isOrdered;
    this.#isExactlyOnce = options.isExactlyOnce;
  }

  async open(): Promise<void> {
    this.broker = await Broker.open({
      folder: this.#folder,
      durability: 'process',
      folderBytesMax: 1e9,
      segmentBytes: 4_096,
      clock: this.clock,
      onFatal: (error) => {
        throw error;
      },
      onWarning() {},
    });
  }

  async begin(): Promise<void> {
    await this.open();
    await this.broker.resources.createTopic({ name: topic });
    const settings = { name: subscription, topic, ackDeadlineMs: deadlineMs };
    await this.broker.resources.createSubscription({
      ...settings,
      isOrdered: this.#isOrdered,
      isExactlyOnce: this.#isExactlyOnce,
    });
  }

  async apply(step: Operation): Promise<void> {
    if (step.type === 'publish') await this.#publish(step.keys);
    else if (step.type === 'pull') await this.pull(step.count);
    else if (step.type === 'ack') await this.#ack(step.picks);
    else if (step.type === 'nack') this.#modify(step.picks, 0);
    else if (step.type === 'extend') this.#modify(step.picks, step.seconds * 1_000);
    else if (step.type === 'wait') this.wait(step.ms);
    else await this.#restart(step.type === 'crash');
  }

  async #publish(keys: number[]): Promise<void> {
    const added = keys.map((number, position) => ({
      text: `${this.known.length + position}`,
      key: number === 0 ? '' : `key-${number}`,
    }));
    await this.broker.publish(
      topic,
      added.map(({ text, key }) => createMessage(text, { key })),
    );
    for (const one of added) {
      this.known.push({ ...one, isAcked: false, wasDelivered: false, lease: undefined });
    }
  }

  async pull(count: number): Promise<number> {
    const delivered = await pullNow(this.broker, subscription, count, deadlineMs);
    for (const one of delivered) this.#check(one);
    return delivered.length;
  }

  #check(delivered: Delivered): void {
    const known = this.known[Number(delivered.text)];
    assert.ok(known, `${delivered.text} was never published`);
    assert.ok(!known.isAcked, `${known.text} was delivered after its ack was confirmed`);
    assert.ok(!known.lease, `${known.text} was delivered while it was leased`);
    if (this.#isOrdered && known.key !== '') {
      for (const earlier of this.known.slice(0, Number(delivered.text))) {
        if (earlier.key !== known.key || earlier.isAcked) continue;
        assert.ok(earlier.lease, `${known.text} was delivered before ${earlier.text} of its key`);
      }
    }
    known.wasDelivered = true;
    known.lease = { delivered, until: this.clock.now() + deadlineMs };
  }

  #leased(picks: number[]): Known[] {
    const leased = this.known.filter(({ lease }) => lease);
    return [...new Set(picks.flatMap((pick) => leased[pick % leased.length] ?? []))];
  }

  async #ack(picks: number[]): Promise<void> {
    const acked = this.#leased(picks);
    const ids = acked.flatMap(({ lease }) => lease?.delivered.id ?? []);
    if (ids.length === 0) return;
    const outcomes = this.broker.subscription(subscription).acknowledge(ids);
    await this.broker.acksCommitted();
    for (const [position, known] of acked.entries()) {
      // Out of order, an ack counts when those before it are acked: until then the message stays leased.
      const isFirst =
        !this.#isOrdered ||
        known.key === '' ||
        !this.known.some(
          (one) =>
            one !== known && one.key === known.key && !one.isAcked && Number(one.text) < Number(known.text),
        );
      if (outcomes[position] === 'ok' && isFirst) {
        known.isAcked = true;
        known.lease = undefined;
        this.#ackFollowers(known);
      } else if (outcomes[position] === 'ok') this.#early.add(known);
    }
  }

  #early = new Set<Known>();

  #ackFollowers(first: Known): void {
    for (const known of this.known.slice(Number(first.text) + 1)) {
      if (known.key !== first.key || known.isAcked) continue;
      if (!this.#isOrdered || !this.#early.delete(known)) return;
      known.isAcked = true;
      known.lease = undefined;
    }
  }

  #modify(picks: number[], ms: number): void {
    const modified = this.#leased(picks).filter((known) => !this.#early.has(known));
    for (const known of modified) {
      if (!known.lease) continue;
      this.broker.subscription(subscription).modifyDeadlines([known.lease.delivered.id], () => ms);
      if (ms > 0) known.lease.until = this.clock.now() + ms;
      else this.#end(known);
    }
  }

  /** A lease is over, and with it those that follow it in its key. */
  #end(known: Known): void {
    known.lease = undefined;
    this.#early.delete(known);
    if (!this.#isOrdered || known.key === '') return;
    for (const later of this.known.slice(Number(known.text) + 1)) {
      if (later.key !== known.key || later.isAcked) continue;
      later.lease = undefined;
      this.#early.delete(later);
    }
  }

  wait(ms: number): void {
    // Deadlines are kept to 20 ms: what ends within that of now is not judged either way.
    this.clock.advance(ms);
    for (const known of this.known) {
      if (!known.lease || this.#early.has(known)) continue;
      if (known.lease.until <= this.clock.now()) this.#end(known);
    }
  }

  async #restart(isCrash: boolean): Promise<void> {
    if (isCrash) {
      // What the process had on its mind is gone; the files are as they are.
      const copy = createFolder();
      cpSync(this.#folder, copy, { recursive: true });
      await this.broker.close();
      this.#folder = copy;
    } else await this.broker.close();
    for (const known of this.known) known.lease = undefined;
    this.#early.clear();
    await this.open();
  }

  /** Every message that is not acked comes, and can be acked. */
  async finish(): Promise<void> {
    for (let round = 0; round < 1_000; round++) {
      this.wait(31_000);
      if ((await this.pull(1_000)) === 0) break;
      await this.#ack(this.known.map((_, position) => position));
    }
    const lost = this.known.filter(({ isAcked }) => !isAcked).map(({ text }) => text);
    assert.deepEqual(lost, []);
    assert.equal(this.broker.backlog()[0]?.unackedCount, 0);
    assert.equal(this.broker.backlog()[0]?.inMemoryCount, 0);
    await this.broker.close();
  }
}

for (const options of [
  { isOrdered: false, isExactlyOnce: false },
  { isOrdered: true, isExactlyOnce: false },
  { isOrdered: true, isExactlyOnce: true },
]) {
  const what = `${options.isOrdered ? 'ordered' : 'unordered'}${options.isExactlyOnce ? ', exactly once' : ''}`;
  test(`loses nothing, repeats nothing that was acked, keeps order: ${what}`, async () => {
    const steps = fc.array(operation, { minLength: 10, maxLength: 50, size: 'max' });
    const property = fc.asyncProperty(steps, async (operations) => {
      const world = new World(options);
      await world.begin();
      for (const step of operations) await world.apply(step);
      await world.finish();
    });
    await fc.assert(property, { numRuns: runs });
  });
}
