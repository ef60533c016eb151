import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { Budget } from '../src/budget.ts';
import {
  createRecord,
  createWrites,
  decodeEnvelope,
  envelopeWritesMax,
  type Write,
} from '../src/envelope.ts';
import { ApiError, type FailureCode } from '../src/errors.ts';
import { createPublisher, type PublisherOptions } from '../src/publisher.ts';

/** A broker that answers when the test says so. */
function createBroker() {
  const sent: { data: Buffer; confirm: () => void; fail: (error: Error) => void }[] = [];
  let arrived = Promise.withResolvers<void>();
  return {
    sent,
    send(data: Buffer) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      sent.push({ data, confirm: resolve, fail: reject });
      arrived.resolve();
      arrived = Promise.withResolvers<void>();
      return promise;
    },
    async receive(count: number) {
      while (sent.length < count) await arrived.promise;
      return sent;
    },
  };
}

const options: PublisherOptions = {
  timeoutMs: 60_000,
  concurrency: 1,
  intervalMs: 0,
  envelopeWritesMax,
  budget: new Budget(1024 * 1024),
};

function hasCode(code: FailureCode) {
  return (error: unknown) => error instanceof ApiError && error.code === code;
}

function idsOf(writes: Write[]) {
  return writes.map((write) => write._id.toHexString());
}

test('answers only after the broker has confirmed the envelope that holds all writes', async () => {
  const broker = createBroker();
  const publisher = createPublisher(broker.send, options);
  const writes = createWrites(new Date());
  let isAnswered = false;
  const published = publisher.publish(writes).then(() => {
    isAnswered = true;
  });
  const [first] = await broker.receive(1);
  assert.equal(isAnswered, false);
  assert.deepEqual(idsOf(decodeEnvelope(first?.data ?? Buffer.alloc(0))), idsOf(writes));
  first?.confirm();
  await published;
  assert.deepEqual(publisher.outstanding(), { bytes: 0, calls: 0 });
});

test('shares the next envelope between the requests that arrive while every call is under way', async () => {
  const broker = createBroker();
  const publisher = createPublisher(broker.send, options);
  const first = publisher.publish(createWrites(new Date()));
  await broker.receive(1);
  const second = createWrites(new Date());
  const third = createWrites(new Date());
  const later = Promise.all([publisher.publish(second), publisher.publish(third)]);
  broker.sent[0]?.confirm();
  await first;
  await broker.receive(2);
  const shared = decodeEnvelope(broker.sent[1]?.data ?? Buffer.alloc(0));
  assert.deepEqual(idsOf(shared), idsOf([...second, ...third]));
  broker.sent[1]?.confirm();
  await later;
});

test('splits at the largest number of writes of an envelope', async () => {
  const broker = createBroker();
  const publisher = createPublisher(broker.send, { ...options, concurrency: 3 });
  const requests = envelopeWritesMax / 5;
  const published = [];
  for (let request = 0; request < requests + 1; request++)
    published.push(publisher.publish(createWrites(new Date())));
  await broker.receive(2);
  assert.equal(decodeEnvelope(broker.sent[0]?.data ?? Buffer.alloc(0)).length, envelopeWritesMax);
  assert.equal(decodeEnvelope(broker.sent[1]?.data ?? Buffer.alloc(0)).length, 5);
  for (const { confirm } of broker.sent) confirm();
  await Promise.all(published);
});

test('waits for the interval between two envelopes, unless one is full', async () => {
  const broker = createBroker();
  const limits = { concurrency: 3, intervalMs: 600_000, timeoutMs: 600_000, envelopeWritesMax: 10 };
  const publisher = createPublisher(broker.send, { ...options, ...limits });
  const publish = () => publisher.publish(createWrites(new Date()));
  const countsOf = () => broker.sent.map(({ data }) => decodeEnvelope(data).length);
  const answers = [publish()];
  await broker.receive(1);
  answers.push(publish());
  broker.sent[0]?.confirm();
  await answers[0];
  await setImmediate();
  assert.deepEqual(countsOf(), [5], 'the second waits, although no call is under way');
  answers.push(publish(), publish(), publish());
  await broker.receive(3);
  assert.deepEqual(countsOf(), [5, 10, 10], 'what is full leaves');
  for (const { confirm } of broker.sent) confirm();
  await Promise.all(answers);
});

test('sends what was too early when its time has come', async () => {
  const broker = createBroker();
  const publisher = createPublisher(broker.send, { ...options, concurrency: 3, intervalMs: 20 });
  const answers = [publisher.publish(createWrites(new Date()))];
  await broker.receive(1);
  answers.push(publisher.publish(createWrites(new Date())));
  await broker.receive(2);
  for (const { confirm } of broker.sent) confirm();
  await Promise.all(answers);
});

test('never splits the writes of one request, however small an envelope may be', async () => {
  const broker = createBroker();
  const publisher = createPublisher(broker.send, { ...options, envelopeWritesMax: 2, concurrency: 3 });
  const published = [
    publisher.publish(createWrites(new Date())),
    publisher.publish(createWrites(new Date())),
  ];
  await broker.receive(2);
  assert.deepEqual(
    broker.sent.map(({ data }) => decodeEnvelope(data).length),
    [5, 5],
  );
  for (const { confirm } of broker.sent) confirm();
  await Promise.all(published);
});

test('splits at the largest envelope in bytes', async () => {
  const broker = createBroker();
  const publisher = createPublisher(broker.send, {
    ...options,
    budget: new Budget(8 * 1024 * 1024),
    concurrency: 10,
  });
  const published = [];
  for (let request = 0; request < 5; request++) {
    published.push(publisher.publish([createRecord({ text: 'x'.repeat(800_000) }, new Date())]));
  }
  await broker.receive(3);
  const sizes = broker.sent.map(({ data }) => decodeEnvelope(data).length);
  assert.deepEqual(sizes, [2, 2, 1]);
  for (const { confirm } of broker.sent) confirm();
  await Promise.all(published);
});

test('fails every request of an envelope that the broker did not confirm', async () => {
  const broker = createBroker();
  const publisher = createPublisher(broker.send, options);
  const first = publisher.publish(createWrites(new Date()));
  const second = publisher.publish(createWrites(new Date()));
  await broker.receive(1);
  broker.sent[0]?.fail(new Error('UNAVAILABLE'));
  await assert.rejects(first, hasCode('publish_unconfirmed'));
  await assert.rejects(second, hasCode('publish_unconfirmed'));
  assert.equal(publisher.outstanding().bytes, 0);
});

test('tells a write that was never sent from one that was sent and not confirmed in time', async () => {
  const broker = createBroker();
  const publisher = createPublisher(broker.send, { ...options, timeoutMs: 20 });
  const sent = publisher.publish(createWrites(new Date()));
  await broker.receive(1);
  const waiting = publisher.publish(createWrites(new Date()));
  await assert.rejects(sent, hasCode('publish_unconfirmed'));
  await assert.rejects(waiting, hasCode('publish_not_sent'));
  broker.sent[0]?.confirm();
  await publisher.close();
  assert.equal(broker.sent.length, 1);
});

test('refuses records that the budget has no room for, and takes them again when others are confirmed', async () => {
  const broker = createBroker();
  const budget = new Budget(300_000);
  const publisher = createPublisher(broker.send, { ...options, budget });
  const record = () => createRecord({ text: 'x'.repeat(99_000) }, new Date());
  const held = [1, 2, 3].map(() => publisher.publish([record()]));
  await assert.rejects(publisher.publish([record()]), hasCode('overloaded'));
  assert.equal(budget.heldBytes, publisher.outstanding().bytes);
  await broker.receive(1);
  broker.sent[0]?.confirm();
  await Promise.all(held);
  assert.equal(budget.heldBytes, 0);
  const again = publisher.publish([record()]);
  await broker.receive(2);
  broker.sent[1]?.confirm();
  await again;
});

test('counts the writes of a request that was let in, and does not refuse them', async () => {
  const broker = createBroker();
  const budget = new Budget(0);
  const publisher = createPublisher(broker.send, { ...options, budget });
  const published = publisher.publish(createWrites(new Date()));
  assert.equal(budget.heldBytes, 1_375);
  await broker.receive(1);
  broker.sent[0]?.confirm();
  await published;
  assert.equal(budget.heldBytes, 0);
});

test('refuses a request that no envelope can hold', async () => {
  const publisher = createPublisher(createBroker().send, {
    ...options,
    budget: new Budget(8 * 1024 * 1024),
  });
  const large = createRecord({ text: 'x'.repeat(2 * 1024 * 1024) }, new Date());
  await assert.rejects(publisher.publish([large]), hasCode('payload_too_large'));
});

test('close waits for what is outstanding and refuses what is new', async () => {
  const broker = createBroker();
  const publisher = createPublisher(broker.send, options);
  const published = publisher.publish(createWrites(new Date()));
  const closed = publisher.close();
  await assert.rejects(publisher.publish(createWrites(new Date())), hasCode('draining'));
  await broker.receive(1);
  broker.sent[0]?.confirm();
  await published;
  await closed;
});
