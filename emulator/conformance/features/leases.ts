import assert from 'node:assert/strict';
import type { Feature } from '../check.ts';
import { refuses, takes, textsOf } from '../expect.ts';
import { sources } from '../sources.ts';

/** How late a redelivery is on an idle machine is for the benchmark to say. */
const lateMsMax = 9_000;
const seconds = (count: number) => [count * 1_000, count * 1_000 + lateMsMax] as const;

export const leases: Feature = {
  title: 'leases: ack deadlines, extended and passed',
  checks: [
    {
      name: 'redelivers a message whose ack deadline passed, with another ack id',
      source: sources.leases,
      async run(place) {
        const { topic, subscription } = await place.subscribe();
        await place.publish(topic, 'x');
        const [first, second] = await takes(seconds(10), async () => [
          await place.pull(subscription),
          await place.pull(subscription),
        ]);
        assert.deepEqual(textsOf(second), ['x']);
        assert.notEqual(first[0]?.ackId, second[0]?.ackId);
      },
    },
    {
      name: 'keeps the deadline of the stream, not that of the subscription',
      source: sources.stream,
      async run(place) {
        const { topic, subscription } = await place.subscribe({ ackDeadlineSeconds: 60 });
        await place.publish(topic, 'x');
        const stream = place.stream(subscription, { streamAckDeadlineSeconds: 10 });
        await takes(seconds(10), () => stream.take(2));
      },
    },
    {
      name: 'counts a modified deadline from the request on',
      source: sources.modifyAckDeadline,
      async run(place) {
        const { topic, subscription } = await place.subscribe();
        await place.publish(topic, 'x');
        const received = await place.pull(subscription);
        await takes(seconds(2), async () => {
          await place.modify(subscription, 2, ...received);
          return place.pull(subscription);
        });
      },
    },
    {
      name: 'keeps a message whose deadline was extended beyond the first one',
      source: sources.modifyAckDeadline,
      async run(place) {
        const { topic, subscription } = await place.subscribe();
        await place.publish(topic, 'x');
        const received = await place.pull(subscription);
        await takes(seconds(14), async () => {
          await place.modify(subscription, 14, ...received);
          return place.pull(subscription);
        });
      },
    },
    {
      name: 'redelivers a nacked message at once',
      source: sources.modifyAckDeadline,
      async run(place) {
        const { topic, subscription } = await place.subscribe();
        await place.publish(topic, 'x');
        const received = await place.pull(subscription);
        const again = await takes([0, 9_000], async () => {
          await place.nack(subscription, ...received);
          return place.pull(subscription);
        });
        assert.deepEqual(textsOf(again), ['x']);
      },
    },
    {
      name: 'takes the late ack of a message that was not delivered again yet',
      source: sources.acks,
      async run(place) {
        const { topic, subscription } = await place.subscribe();
        const other = await place.createSubscription(topic, 'other');
        await place.publish(topic, 'x');
        const received = await place.pull(subscription);
        await place.modify(subscription, 1, ...received);
        // The same deadline elsewhere tells when it has passed.
        await place.modify(other, 2, ...(await place.pull(other)));
        await place.pull(other);
        await place.ack(subscription, ...received);
        assert.deepEqual(await place.pullNow(subscription), []);
      },
    },
    {
      name: 'leaves what a stream had outstanding leased when the stream ends',
      source: sources.leases,
      async run(place) {
        const { topic, subscription } = await place.subscribe();
        await place.publish(topic, 'x');
        const stream = place.stream(subscription);
        const received = await stream.take(1);
        stream.halfClose();
        await stream.ended;
        assert.deepEqual(await place.pullNow(subscription), []);
        await place.nack(subscription, ...received);
        assert.deepEqual(textsOf(await place.pull(subscription)), ['x']);
      },
    },
    {
      name: 'refuses a negative deadline',
      source: sources.modifyAckDeadline,
      async run(place) {
        const { topic, subscription } = await place.subscribe();
        await place.publish(topic, 'x');
        const answer = place.modify(subscription, -1, ...(await place.pull(subscription)));
        await refuses(answer, 'INVALID_ARGUMENT', 'Ack deadline cannot be negative');
      },
    },
    {
      name: 'takes a modified deadline of 600 s, and refuses one of 601',
      source: sources.modifyAckDeadline,
      async run(place) {
        const { topic, subscription } = await place.subscribe();
        await place.publish(topic, 'x');
        const received = await place.pull(subscription);
        await place.modify(subscription, 600, ...received);
        const answer = place.modify(subscription, 601, ...received);
        await refuses(answer, 'INVALID_ARGUMENT', 'Ack deadline cannot be more than 600 seconds');
      },
      google: {
        does: 'accepts 601',
        async run(place) {
          const { topic, subscription } = await place.subscribe();
          await place.publish(topic, 'x');
          await place.modify(subscription, 601, ...(await place.pull(subscription)));
        },
      },
    },
  ],
};
