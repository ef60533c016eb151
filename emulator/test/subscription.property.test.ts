/**
 * The subscription as a state machine under a fake clock: whatever the order of publish, pull, ack, nack, modify, expiry,
 * crash and restart, no confirmed message is lost, none is delivered after its ack was confirmed, none is delivered
 * while it is leased, and a key's messages come in their order, to one consumer at a time.
 */
import assert from 'node:assert/strict';
import { cpSync, rmSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { createFolder } from '../../test/process.ts';
import { until } from '../../test/until.ts';
import type { Broker } from '../src/broker/broker.ts';
import { FakeClock } from './fake-clock.ts';
import { openBroker } from './harness.ts';
import { createMessage, type Delivered, pullNow } from './puller.ts';

const topic = 'projects/project/topics/orders';
const subscription = 'projects/project/subscriptions/orders-writer';
const deadLetterTopic = 'projects/project/topics/orders-dead-letter';
const deadLetterSubscription = 'projects/project/subscriptions/orders-dead-letter';
const attemptsMax = 5;
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
  // As often as a dead-letter policy lets it.
  { weight: 1, arbitrary: fc.record({ type: fc.constant('nack again and again' as const), picks }) },
  { weight: 1, arbitrary: fc.constant({ type: 'crash' as const }) },
  { weight: 1, arbitrary: fc.constant({ type: 'restart' as const }) },
);
type Operation = typeof operation extends fc.Arbitrary<infer Value> ? Value : never;

interface Known {
  text: string;
  key: string;
  /** Acked, or in the dead-letter topic. */
  isDone: boolean;
  /** How often it was delivered, without the times at which one before it in its key was delivered again. */
  attempts: number;
  /** As its last delivery said. */
  attemptsTold: number;
  /** False after a crash: pubsub.proto calls the count a best effort, so the last attempt may not be in it. */
  isCountExact: boolean;
  /** While it is leased. */
  lease: { delivered: Delivered; until: number; pull: number } | undefined;
}

interface Options {
  isOrdered: boolean;
  isExactlyOnce?: boolean;
  isDeadLettered?: boolean;
  hasRetryPolicy?: boolean;
}

/** What has to be true of the subscription, and the operations that are applied to it and to the broker. */
class World {
  clock = new FakeClock();
  known: Known[] = [];
  broker!: Broker;
  #folder = createFolder();
  #pull = 0;
  #options: Options;

  constructor(options: Options) {
    this.#options = options;
  }

  async open(): Promise<void> {
    this.broker = await openBroker(this.#folder, { segmentBytes: 4_096, clock: this.clock });
  }

  async begin(): Promise<void> {
    await this.open();
    await this.broker.topics.create({ name: topic });
    await this.broker.topics.create({ name: deadLetterTopic });
    await this.broker.subscriptions.create({ name: deadLetterSubscription, topic: deadLetterTopic });
    const { isOrdered, isExactlyOnce, isDeadLettered, hasRetryPolicy } = this.#options;
    await this.broker.subscriptions.create({
      name: subscription,
      topic,
      ackDeadlineMs: deadlineMs,
      isOrdered,
      isExactlyOnce,
      deadLetterPolicy: isDeadLettered ? { topic: deadLetterTopic, attemptsMax } : undefined,
      retryPolicy: hasRetryPolicy ? { minimumBackoffMs: 1_000, maximumBackoffMs: 8_000 } : undefined,
    });
  }

  async apply(step: Operation): Promise<void> {
    if (step.type === 'publish') await this.#publish(step.keys);
    else if (step.type === 'pull') await this.pull(step.count);
    else if (step.type === 'ack') await this.#ack(step.picks);
    else if (step.type === 'nack') this.#modify(step.picks, 0);
    else if (step.type === 'nack again and again') await this.#nackOften(step.picks);
    else if (step.type === 'extend') this.#modify(step.picks, step.seconds * 1_000);
    else if (step.type === 'wait') this.wait(step.ms);
    else await this.#restart(step.type === 'crash');
  }

  /** What was forwarded is done, and was delivered as often as the policy says. */
  async #receiveDeadLetters(): Promise<void> {
    const { leases } = this.broker.subscriptions.get(subscription);
    await until(() => ![...leases.values()].some(({ state }) => state === 'forwarding'));
    const forwarded = await pullNow(this.broker, deadLetterSubscription, 1_000);
    if (forwarded.length === 0) return;
    this.broker.subscriptions.get(deadLetterSubscription).acknowledge(forwarded.map(({ id }) => id));
    await this.broker.acksCommitted();
    for (const { text, attributes } of forwarded) {
      const known = this.known[Number(text)];
      assert.ok(known && !known.isDone, `${text} was forwarded after it was done`);
      assert.ok(known.attempts >= attemptsMax, `${text} was forwarded after ${known.attempts} attempts`);
      assert.equal(attributes.CloudPubSubDeadLetterSourceDeliveryCount, String(known.attempts));
      known.isDone = true;
      known.lease = undefined;
    }
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
      const counts = { attempts: 0, attemptsTold: 0, isCountExact: true };
      this.known.push({ ...one, ...counts, isDone: false, lease: undefined });
    }
  }

  async pull(count: number): Promise<number> {
    await this.#receiveDeadLetters();
    const delivered = await pullNow(this.broker, subscription, count, deadlineMs);
    this.#pull++;
    for (const one of delivered) this.#check(one);
    return delivered.length;
  }

  #check(delivered: Delivered): void {
    const known = this.known[Number(delivered.text)];
    assert.ok(known, `${delivered.text} was never published`);
    assert.ok(!known.isDone, `${known.text} was delivered after its ack was confirmed, or its forwarding`);
    assert.ok(!known.lease, `${known.text} was delivered while it was leased`);
    if (this.#options.isOrdered && known.key !== '') {
      for (const earlier of this.known.slice(0, Number(delivered.text))) {
        if (earlier.key !== known.key || earlier.isDone) continue;
        assert.ok(earlier.lease, `${known.text} was delivered before ${earlier.text} of its key`);
        assert.equal(earlier.lease.pull, this.#pull, `the key of ${known.text} went to two consumers`);
      }
    }
    if (this.#options.isDeadLettered) {
      const most = known.attempts + 1;
      const isRight = known.isCountExact ? delivered.attempts === most : delivered.attempts <= most;
      assert.ok(isRight, `${known.text} says attempt ${delivered.attempts}, not ${most}`);
      known.attempts = delivered.attempts;
      known.attemptsTold = delivered.attempts;
      known.isCountExact = true;
    }
    known.lease = { delivered, until: this.clock.now() + deadlineMs, pull: this.#pull };
  }

  #leased(picks: number[]): Known[] {
    const leased = this.known.filter(({ lease }) => lease);
    return [...new Set(picks.flatMap((pick) => leased[pick % leased.length] ?? []))];
  }

  async #ack(picks: number[]): Promise<void> {
    await this.#receiveDeadLetters();
    const acked = this.#leased(picks);
    const ids = acked.flatMap(({ lease }) => lease?.delivered.id ?? []);
    if (ids.length === 0) return;
    const outcomes = this.broker.subscriptions.get(subscription).acknowledge(ids);
    await this.broker.acksCommitted();
    for (const [position, known] of acked.entries()) {
      // Out of order, an ack counts when those before it are acked: until then the message stays leased.
      const isFirst =
        !this.#options.isOrdered ||
        known.key === '' ||
        !this.known.some(
          (one) =>
            one !== known && one.key === known.key && !one.isDone && Number(one.text) < Number(known.text),
        );
      if (outcomes[position] === 'ok' && isFirst) {
        known.isDone = true;
        known.lease = undefined;
        this.#ackFollowers(known);
      } else if (outcomes[position] === 'ok') this.#early.add(known);
    }
  }

  #early = new Set<Known>();

  #ackFollowers(first: Known): void {
    for (const known of this.known.slice(Number(first.text) + 1)) {
      if (known.key !== first.key || known.isDone) continue;
      if (!this.#options.isOrdered || !this.#early.delete(known)) return;
      known.isDone = true;
      known.lease = undefined;
    }
  }

  async #nackOften(picks: number[]): Promise<void> {
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      await this.pull(10);
      this.#modify(picks, 0);
      this.wait(9_000); // past the retry policy's backoff
    }
  }

  #modify(picks: number[], ms: number): void {
    const modified = this.#leased(picks).filter((known) => !this.#early.has(known));
    for (const known of modified) {
      if (!known.lease) continue;
      this.broker.subscriptions.get(subscription).modifyDeadlines([known.lease.delivered.id], () => ms);
      if (ms > 0) known.lease.until = this.clock.now() + ms;
      else this.#end(known);
    }
  }

  /** A lease is over, and with it those that follow it in its key. */
  #end(known: Known): void {
    known.lease = undefined;
    this.#early.delete(known);
    if (!this.#options.isOrdered || known.key === '') return;
    for (const later of this.known.slice(Number(known.text) + 1)) {
      if (later.key !== known.key || later.isDone) continue;
      if (later.lease) later.attempts--;
      later.lease = undefined;
      this.#early.delete(later);
    }
  }

  wait(ms: number): void {
    // Deadlines are kept to 20 ms: what ends within that of now is not judged either way.
    this.clock.advance(ms);
    const over = this.known.filter(({ lease }) => lease && lease.until <= this.clock.now());
    // Of what ends within the same 20 ms the earliest of a key ends first, and takes the others with it.
    const tickOf = ({ lease }: Known) => Math.ceil((lease?.until ?? 0) / 20);
    for (const known of over.toSorted((a, b) => tickOf(a) - tickOf(b))) {
      if (known.lease && !this.#early.has(known)) this.#end(known);
    }
  }

  async #restart(isCrash: boolean): Promise<void> {
    await this.#receiveDeadLetters();
    if (isCrash) {
      // What the process had on its mind is gone; the files are as they are.
      const copy = createFolder();
      cpSync(this.#folder, copy, { recursive: true });
      await this.broker.close();
      this.#removeFolder();
      this.#folder = copy;
    } else await this.broker.close();
    for (const known of this.known) {
      known.lease = undefined;
      if (!isCrash) continue;
      known.attempts = known.attemptsTold;
      known.isCountExact = false;
    }
    this.#early.clear();
    await this.open();
  }

  /** Every message that is not acked comes, and can be acked. */
  async finish(): Promise<void> {
    for (let round = 0; round < 1_000; round++) {
      // Past the longest extension, 30 s, and the longest backoff of the retry policy after it, 8 s.
      this.wait(39_000);
      if ((await this.pull(1_000)) === 0) break;
      await this.#ack(this.known.map((_, position) => position));
    }
    const lost = this.known.filter(({ isDone }) => !isDone).map(({ text }) => text);
    assert.deepEqual(lost, []);
    for (const { unackedCount, inMemoryCount } of this.broker.backlog()) {
      assert.deepEqual({ unackedCount, inMemoryCount }, { unackedCount: 0, inMemoryCount: 0 });
    }
  }

  async close(): Promise<void> {
    await this.broker.close();
    this.#removeFolder();
  }

  /** At once, because shrinking a failure makes some thousand of 4 MiB. */
  #removeFolder(): void {
    rmSync(this.#folder, { recursive: true });
  }
}

const variants: Record<string, Options> = {
  unordered: { isOrdered: false },
  ordered: { isOrdered: true },
  'ordered, exactly once': { isOrdered: true, isExactlyOnce: true },
  'unordered, with dead letters and a retry policy': {
    isOrdered: false,
    isDeadLettered: true,
    hasRetryPolicy: true,
  },
  'ordered, with dead letters': { isOrdered: true, isDeadLettered: true },
};

for (const [name, options] of Object.entries(variants)) {
  test(`loses nothing, repeats nothing that was acked, keeps order: ${name}`, async () => {
    const steps = fc.array(operation, { minLength: 10, maxLength: 50, size: 'max' });
    const property = fc.asyncProperty(steps, async (operations) => {
      const world = new World(options);
      await world.begin();
      try {
        for (const step of operations) await world.apply(step);
        await world.finish();
      } finally {
        await world.close();
      }
    });
    // Shrinking takes minutes; the seed and path that are printed are enough to run it again.
    await fc.assert(property, { numRuns: runs, endOnFailure: true });
  });
}
