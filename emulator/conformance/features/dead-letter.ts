import assert from 'node:assert/strict';
import type { Feature } from '../check.ts';
import { attemptsOf, endsWith, missing, refuses, textsOf } from '../expect.ts';
import type { NewMessage, Place, SubscriptionSettings } from '../place.ts';
import { sources } from '../sources.ts';

/** A subscription whose messages go to another topic, with a subscription of its own, after 5 attempts. */
async function arrange(place: Place, settings: SubscriptionSettings = {}) {
  const deadLetterTopic = await place.createTopic('dead');
  const dead = await place.createSubscription(deadLetterTopic, 'dead');
  const deadLetterPolicy = { deadLetterTopic, maxDeliveryAttempts: 5 };
  return { ...(await place.subscribe({ deadLetterPolicy, ...settings })), dead, deadLetterTopic };
}

/** Delivers `count` times and nacks each. @returns the attempts that were told. */
async function nackTimes(place: Place, subscription: string, count: number): Promise<number[]> {
  const attempts: number[] = [];
  for (let round = 0; round < count; round++) {
    const received = await place.pull(subscription, 1);
    attempts.push(...attemptsOf(received));
    await place.nack(subscription, ...received);
  }
  return attempts;
}

const message: NewMessage = {
  data: Buffer.from('poison'),
  attributes: { kind: 'test' },
  orderingKey: 'key',
};

export const deadLetter: Feature = {
  title: 'dead-letter topics and delivery_attempt',
  checks: [
    {
      name: 'counts the delivery attempts under a dead-letter policy',
      source: sources.received,
      async run(place) {
        const { topic, subscription } = await arrange(place);
        await place.publish(topic, 'x');
        assert.deepEqual(await nackTimes(place, subscription, 4), [1, 2, 3, 4]);
      },
    },
    {
      name: 'tells no delivery attempt without a dead-letter policy',
      source: sources.received,
      async run(place) {
        const { topic, subscription } = await place.subscribe();
        await place.publish(topic, 'x');
        assert.deepEqual(await nackTimes(place, subscription, 3), [0, 0, 0]);
      },
    },
    {
      name: 'tells no delivery attempt with a retry policy alone',
      source: sources.received,
      async run(place) {
        const retryPolicy = { minimumBackoff: { seconds: 0 }, maximumBackoff: { seconds: 0 } };
        const { topic, subscription } = await place.subscribe({ retryPolicy });
        await place.publish(topic, 'x');
        assert.deepEqual(await nackTimes(place, subscription, 3), [0, 0, 0]);
      },
      google: {
        does: 'tells it',
        async run(place) {
          const retryPolicy = { minimumBackoff: { seconds: 0 }, maximumBackoff: { seconds: 0 } };
          const { topic, subscription } = await place.subscribe({ retryPolicy });
          await place.publish(topic, 'x');
          assert.deepEqual(await nackTimes(place, subscription, 3), [1, 2, 3]);
        },
      },
    },
    {
      name: 'forwards a message after its last attempt was nacked, with where it comes from',
      source: sources.deadLetter,
      async run(place) {
        const { topic, subscription, dead } = await arrange(place);
        const [id] = await place.publish(topic, message);
        assert.deepEqual(await nackTimes(place, subscription, 5), [1, 2, 3, 4, 5]);
        // Google's emulator forwards it when somebody asks the source again.
        assert.deepEqual(await place.pullNow(subscription), []);
        const [forwarded] = await place.pull(dead);
        assert.equal(Buffer.from(forwarded?.message?.data ?? '').toString(), 'poison');
        const { CloudPubSubDeadLetterSourceTopicPublishTime: time, ...rest } = {
          ...forwarded?.message?.attributes,
        };
        assert.deepEqual(rest, {
          kind: 'test',
          CloudPubSubDeadLetterSourceSubscription: 'subscription',
          CloudPubSubDeadLetterSourceSubscriptionProject: place.project.slice('projects/'.length),
          CloudPubSubDeadLetterSourceDeliveryCount: '5',
        });
        assert.ok(Math.abs(Date.parse(time ?? '') - Date.now()) < 60_000);
        assert.equal(forwarded?.message?.orderingKey, 'key');
        assert.notEqual(forwarded?.message?.messageId, id);
        assert.deepEqual(await place.pullNow(subscription), []);
      },
    },
    {
      name: 'forwards a nacked message at once, whether anybody asks or not',
      source: sources.deadLetter,
      async run(place) {
        const { topic, subscription, dead } = await arrange(place);
        await place.publish(topic, 'x');
        const waiting = place.pull(dead);
        await nackTimes(place, subscription, 5);
        assert.deepEqual(textsOf(await waiting), ['x']);
      },
      google: {
        does: 'waits until somebody pulls the source again',
        async run(place) {
          const { topic, subscription, dead } = await arrange(place);
          await place.publish(topic, 'x');
          await nackTimes(place, subscription, 5);
          const request = { subscription: dead, maxMessages: 1 };
          assert.deepEqual((await place.client.subscriber(4_000).pull(request)).receivedMessages, []);
          assert.deepEqual(await place.pullNow(subscription), []);
          assert.deepEqual(textsOf(await place.pull(dead)), ['x']);
        },
      },
    },
    {
      name: 'forwards a message whose last deadline passed',
      source: sources.deadLetter,
      async run(place) {
        const { topic, subscription, dead } = await arrange(place);
        await place.publish(topic, 'x');
        await nackTimes(place, subscription, 4);
        const stream = place.stream(subscription);
        const received = await stream.take(1);
        await place.modify(subscription, 1, ...received);
        assert.deepEqual(textsOf(await place.pull(dead)), ['x']);
        assert.equal(stream.received.length, 1);
      },
    },
    {
      name: 'does not forward a message that is acked at its last attempt',
      source: sources.deadLetter,
      async run(place) {
        const { topic, subscription, dead } = await arrange(place);
        await place.publish(topic, 'x');
        await nackTimes(place, subscription, 4);
        await place.ack(subscription, ...(await place.pull(subscription)));
        assert.deepEqual(await place.pullNow(subscription), []);
        assert.deepEqual(await place.pullNow(dead), []);
      },
    },
    {
      name: 'forwards with an ordering key, and goes on with the rest of the key',
      source: sources.deadLetter,
      async run(place) {
        const { topic, subscription, dead } = await arrange(place, { enableMessageOrdering: true });
        await place.publishOrdered(topic, 'A', 'A0', 'A1');
        await nackTimes(place, subscription, 5);
        assert.deepEqual(textsOf(await place.pull(dead)), ['A0']);
        assert.deepEqual(textsOf(await place.pull(subscription)), ['A1']);
      },
      google: {
        does: 'breaks the subscription: every Pull and stream fails, for other keys too',
        async run(place) {
          const { topic, subscription } = await arrange(place, { enableMessageOrdering: true });
          await place.publishOrdered(topic, 'A', 'A0');
          await nackTimes(place, subscription, 5);
          await place.publishOrdered(topic, 'B', 'B0');
          await refuses(place.pullNow(subscription), 'UNKNOWN', 'Application error processing RPC');
          endsWith(await place.stream(subscription).ended, 'UNKNOWN', '');
        },
      },
    },
    {
      name: 'goes on delivering when the dead-letter topic is gone',
      source: sources.deadLetter,
      async run(place) {
        const { topic, subscription, deadLetterTopic } = await arrange(place);
        await place.publish(topic, 'x');
        await place.publisher.deleteTopic({ topic: deadLetterTopic });
        assert.deepEqual(await nackTimes(place, subscription, 7), [1, 2, 3, 4, 5, 6, 7]);
      },
    },
    {
      name: 'takes 0 delivery attempts as the default of 5',
      source: sources.deadLetterPolicy,
      async run(place) {
        const deadLetterTopic = await place.createTopic('dead');
        const { subscription } = await place.subscribe({ deadLetterPolicy: { deadLetterTopic } });
        const { deadLetterPolicy } = await place.subscriber.getSubscription({ subscription });
        assert.equal(deadLetterPolicy?.maxDeliveryAttempts, 5);
      },
    },
    {
      name: 'refuses a dead-letter topic that is missing',
      source: sources.deadLetter,
      async run(place) {
        const deadLetterPolicy = { deadLetterTopic: place.topicName('none'), maxDeliveryAttempts: 5 };
        await refuses(place.subscribe({ deadLetterPolicy }), 'NOT_FOUND', missing);
      },
    },
  ],
};
