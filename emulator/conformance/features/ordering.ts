import assert from 'node:assert/strict';
import type { Feature } from '../check.ts';
import { takes, textsOf } from '../expect.ts';
import type { Place } from '../place.ts';
import type { Received } from '../pull-stream.ts';
import { sources } from '../sources.ts';

const ordered = { enableMessageOrdering: true };

/** A0 to A`count - 1`, outstanding with a stream that has received them. */
async function arrange(place: Place, count: number, settings = {}) {
  const { topic, subscription } = await place.subscribe({ ...ordered, ...settings });
  const texts = Array.from({ length: count }, (_, number) => `A${number}`);
  await place.publishOrdered(topic, 'A', ...texts);
  const stream = place.stream(subscription);
  const received = await stream.take(count);
  return { topic, subscription, stream, received, texts };
}

const the = (received: Received[], text: string) =>
  received.filter((one) => textsOf([one])[0] === text).slice(-1);

export const ordering: Feature = {
  title: 'ordering keys',
  checks: [
    {
      name: 'delivers the messages of a key in the order of their publishes',
      source: sources.ordering,
      async run(place) {
        const { topic, subscription } = await place.subscribe(ordered);
        const texts = Array.from({ length: 300 }, (_, number) => `${number}`);
        for (let from = 0; from < 300; from += 100) {
          await place.publishOrdered(topic, 'A', ...texts.slice(from, from + 100));
        }
        const stream = place.stream(subscription);
        assert.deepEqual(textsOf(await stream.take(300)), texts);
      },
    },
    {
      name: 'gives nothing of a key to another Pull while some of it is outstanding',
      source: sources.ordering,
      async run(place) {
        const { topic, subscription } = await place.subscribe(ordered);
        await place.publishOrdered(topic, 'A', 'A0', 'A1');
        const first = await place.pull(subscription, 1);
        assert.deepEqual(textsOf(first), ['A0']);
        assert.deepEqual(await place.pullNow(subscription), []);
        await place.publishOrdered(topic, 'B', 'B0');
        assert.deepEqual(textsOf(await place.pull(subscription)), ['B0']);
        await place.ack(subscription, ...first);
        assert.deepEqual(textsOf(await place.pull(subscription)), ['A1']);
      },
    },
    {
      name: 'gives a key to one stream of two',
      source: sources.ordering,
      async run(place) {
        const { topic, subscription } = await place.subscribe(ordered);
        const streams = [place.stream(subscription), place.stream(subscription)];
        const texts = Array.from({ length: 50 }, (_, number) => `${number}`);
        await place.publishOrdered(topic, 'A', ...texts);
        await Promise.race(streams.map((stream) => stream.take(50)));
        assert.deepEqual(streams.map(({ received }) => received.length).sort(), [0, 50]);
      },
    },
    {
      name: 'redelivers all of a key, in order, when a deadline passes',
      source: sources.ordering,
      async run(place) {
        const { topic, subscription } = await place.subscribe(ordered);
        await place.publishOrdered(topic, 'A', 'A0', 'A1', 'A2', 'A3');
        const received = await place.pull(subscription, 2);
        assert.deepEqual(textsOf(received), ['A0', 'A1']);
        await place.modify(subscription, 1, ...received);
        assert.deepEqual(textsOf(await place.pullCount(subscription, 4)), ['A0', 'A1', 'A2', 'A3']);
      },
    },
    {
      name: 'redelivers a nacked message and all that follow it in its key, in order',
      source: sources.ordering,
      async run(place) {
        const { stream, received } = await arrange(place, 5);
        stream.nack(...the(received, 'A1'));
        const all = textsOf(await stream.take(9));
        assert.deepEqual(all.slice(5), ['A1', 'A2', 'A3', 'A4']);
      },
      google: {
        does: 'redelivers the nacked one alone, out of order',
        async run(place) {
          const { stream, received } = await arrange(place, 5);
          stream.nack(...the(received, 'A1'));
          await stream.take(6);
          stream.nack(...the(received, 'A3'));
          assert.deepEqual(textsOf(await stream.take(7)).slice(5), ['A1', 'A3']);
        },
      },
    },
    {
      name: 'counts an ack once all earlier ones of the key are acked',
      source: sources.ordering,
      async run(place) {
        const { topic, subscription } = await place.subscribe(ordered);
        await place.publishOrdered(topic, 'A', 'A0', 'A1');
        const received = await place.pullCount(subscription, 2);
        await place.ack(subscription, ...the(received, 'A1'));
        await place.modify(subscription, 1, ...the(received, 'A0'));
        assert.deepEqual(textsOf(await place.pullCount(subscription, 2)), ['A0', 'A1']);
      },
    },
    {
      name: 'takes the acks of a key in any order',
      source: sources.ordering,
      async run(place) {
        const { topic, subscription, stream, received } = await arrange(place, 4);
        // As clients say that they have read what they got, before their stream ends.
        await place.modify(subscription, 60, ...received);
        stream.halfClose();
        await stream.ended;
        for (const one of received.toReversed()) await place.ack(subscription, one);
        await place.publishOrdered(topic, 'A', 'A4');
        assert.deepEqual(textsOf(await place.pull(subscription)), ['A4']);
      },
    },
    {
      name: 'delivers messages with a key in no order without the flag',
      source: sources.ordering,
      async run(place) {
        const { topic, subscription } = await place.subscribe();
        await place.publishOrdered(topic, 'A', 'A0', 'A1');
        const first = await place.pull(subscription, 1);
        const second = await place.pull(subscription, 1);
        assert.deepEqual(textsOf([...first, ...second]).sort(), ['A0', 'A1']);
        assert.equal(first[0]?.message?.orderingKey, 'A');
      },
    },
    {
      name: 'keeps the backoff of a retry policy, with the rest of the key behind it',
      source: sources.retry,
      async run(place) {
        const retryPolicy = { minimumBackoff: { seconds: 1 }, maximumBackoff: { seconds: 2 } };
        const { stream, received } = await arrange(place, 2, { retryPolicy });
        const all = await takes([1_000, 30_000], () => {
          stream.nack(...the(received, 'A0'));
          return stream.take(4);
        });
        assert.deepEqual(textsOf(all).slice(2), ['A0', 'A1']);
      },
      google: {
        does: 'does not wait at all with ordering',
        async run(place) {
          const retryPolicy = { minimumBackoff: { seconds: 20 }, maximumBackoff: { seconds: 20 } };
          const { topic, subscription } = await place.subscribe({ ...ordered, retryPolicy });
          await place.publishOrdered(topic, 'A', 'A0');
          for (let round = 0; round < 4; round++) {
            const received = await place.pull(subscription);
            assert.deepEqual(textsOf(received), ['A0']);
            await place.nack(subscription, ...received);
          }
        },
      },
    },
  ],
};
