import assert from 'node:assert/strict';
import type { Feature } from '../check.ts';
import { refuses, takes, textsOf } from '../expect.ts';
import { sources } from '../sources.ts';

export const pull: Feature = {
  title: 'Pull, Acknowledge, ModifyAckDeadline',
  checks: [
    {
      name: 'waits for a message, and answers when one is published',
      source: sources.pull,
      async run(place) {
        const { topic, subscription } = await place.subscribe();
        const waiting = place.pull(subscription);
        await place.publish(topic, 'late');
        assert.deepEqual(textsOf(await waiting), ['late']);
      },
    },
    {
      name: 'answers at once with nothing when return_immediately is set',
      source: sources.pullRequest,
      async run(place) {
        const { subscription } = await place.subscribe();
        assert.deepEqual(await takes([0, 20_000], () => place.pullNow(subscription)), []);
      },
    },
    {
      name: "gives a waiting Pull an empty answer before the client's deadline",
      source: sources.pull,
      async run(place) {
        const { subscription } = await place.subscribe();
        const request = { subscription, maxMessages: 1 };
        assert.deepEqual((await place.client.subscriber(4_000).pull(request)).receivedMessages, []);
      },
    },
    {
      name: 'refuses a Pull of 0 messages',
      source: sources.pullRequest,
      async run(place) {
        const { subscription } = await place.subscribe();
        await refuses(place.pullNow(subscription, 0), 'INVALID_ARGUMENT', 'No max_messages specified');
      },
    },
    {
      name: 'refuses a Pull of -1 messages',
      source: sources.pullRequest,
      async run(place) {
        const { subscription } = await place.subscribe();
        await refuses(place.pullNow(subscription, -1), 'INVALID_ARGUMENT', 'max_messages must be positive');
      },
      google: {
        does: 'gives an empty answer, also with a backlog',
        async run(place) {
          const { topic, subscription } = await place.subscribe();
          await place.publish(topic, 'x');
          assert.deepEqual(await place.pullNow(subscription, -1), []);
        },
      },
    },
    {
      name: 'does not deliver an outstanding message to another Pull',
      source: sources.leases,
      async run(place) {
        const { topic, subscription } = await place.subscribe();
        await place.publish(topic, 'x');
        assert.equal((await place.pull(subscription)).length, 1);
        assert.deepEqual(await place.pullNow(subscription), []);
      },
    },
    {
      name: 'does not deliver an acked message again, whatever comes after the ack',
      source: sources.acks,
      async run(place) {
        const { topic, subscription } = await place.subscribe();
        await place.publish(topic, 'x');
        const received = await place.pull(subscription);
        await place.ack(subscription, ...received);
        await place.nack(subscription, ...received);
        assert.deepEqual(await place.pullNow(subscription), []);
      },
    },
    {
      name: 'answers OK to an ack that came already, and to one whose message was delivered again',
      source: sources.acks,
      async run(place) {
        const { topic, subscription } = await place.subscribe();
        await place.publish(topic, 'x');
        const first = await place.pull(subscription);
        await place.nack(subscription, ...first);
        const second = await place.pull(subscription);
        await place.ack(subscription, ...first);
        await place.ack(subscription, ...second);
        await place.ack(subscription, ...second);
        assert.deepEqual(await place.pullNow(subscription), []);
      },
    },
    {
      name: 'ignores the ack of a delivery that a later one replaced',
      source: sources.acks,
      async run(place) {
        const { topic, subscription } = await place.subscribe();
        await place.publish(topic, 'x');
        const first = await place.pull(subscription);
        await place.nack(subscription, ...first);
        const second = await place.pull(subscription);
        assert.notEqual(first[0]?.ackId, second[0]?.ackId);
        await place.ack(subscription, ...first);
        await place.nack(subscription, ...second);
        assert.deepEqual(textsOf(await place.pull(subscription)), ['x']);
      },
    },
    {
      name: 'refuses a malformed ack id, and with it the good ones of the request',
      source: sources.acks,
      async run(place) {
        const { topic, subscription } = await place.subscribe();
        await place.publish(topic, 'x');
        const received = await place.pull(subscription);
        for (const ackId of ['garbage', '']) {
          const text = `Invalid ack id (ack_id=${ackId})`;
          await refuses(place.ack(subscription, ...received, { ackId }), 'INVALID_ARGUMENT', text);
          await refuses(place.nack(subscription, { ackId }), 'INVALID_ARGUMENT', text);
        }
        await place.nack(subscription, ...received);
        assert.deepEqual(textsOf(await place.pull(subscription)), ['x']);
      },
    },
    {
      name: 'refuses an ack id of another subscription',
      source: sources.acks,
      async run(place) {
        const { topic, subscription } = await place.subscribe();
        const other = await place.createSubscription(topic, 'other');
        await place.publish(topic, 'x');
        const received = await place.pull(other);
        await refuses(
          place.ack(subscription, ...received),
          'INVALID_ARGUMENT',
          `Subscription ${subscription} received an invalid ack ID ${received[0]?.ackId}, meant for subscription: ${other}`,
        );
      },
    },
    {
      name: 'refuses a request without ack ids',
      source: sources.acks,
      async run(place) {
        const { subscription } = await place.subscribe();
        await refuses(place.ack(subscription), 'INVALID_ARGUMENT', 'No ack ids specified.');
        await refuses(place.nack(subscription), 'INVALID_ARGUMENT', 'No ack ids specified');
      },
    },
  ],
};
