import assert from 'node:assert/strict';
import type { Feature } from '../check.ts';
import { idsOf, publishTimeOf, refuses, textsOf, timestamp } from '../expect.ts';
import type { Place, SubscriptionSettings, TopicSettings } from '../place.ts';
import { sources } from '../sources.ts';

const hourMs = 3_600_000;

/** Three messages, received and acked. */
async function arrange(place: Place, settings: SubscriptionSettings, topicSettings: TopicSettings = {}) {
  const { topic, subscription } = await place.subscribe(settings, topicSettings);
  const ids: string[] = [];
  for (const text of ['a', 'b', 'c']) {
    ids.push(...(await place.publish(topic, text)));
    // Each has a publish time of its own.
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const received = await place.pullCount(subscription, 3);
  await place.ack(subscription, ...received);
  return { topic, subscription, received, ids };
}

const seekTo = (place: Place, subscription: string, ms: number) =>
  place.subscriber.seek({ subscription, time: timestamp(ms) });

export const seek: Feature = {
  title: 'seek, retention of acked messages, replay',
  checks: [
    {
      name: 'replays acked messages from a time on, when the subscription retains them',
      source: sources.seek,
      async run(place) {
        const { subscription, received } = await arrange(place, { retainAckedMessages: true });
        const b = received.find((one) => textsOf([one])[0] === 'b');
        await seekTo(place, subscription, publishTimeOf(b ?? {}));
        assert.deepEqual(textsOf(await place.pullCount(subscription, 2)).sort(), ['b', 'c']);
        assert.deepEqual(await place.pullNow(subscription), []);
      },
    },
    {
      name: 'replays with the same message ids',
      source: sources.seek,
      async run(place) {
        const { subscription, ids } = await arrange(place, { retainAckedMessages: true });
        await seekTo(place, subscription, Date.now() - hourMs);
        assert.deepEqual(idsOf(await place.pullCount(subscription, 3)).sort(), ids.sort());
      },
    },
    {
      name: 'replays acked messages when the topic retains them',
      source: sources.retention,
      async run(place) {
        const { subscription } = await arrange(place, {}, { messageRetentionDuration: { seconds: 600 } });
        await seekTo(place, subscription, Date.now() - hourMs);
        assert.deepEqual(textsOf(await place.pullCount(subscription, 3)).sort(), ['a', 'b', 'c']);
      },
    },
    {
      name: 'replays to a later subscription what its topic retained',
      source: sources.retention,
      async run(place) {
        const topic = await place.createTopic('topic', { messageRetentionDuration: { seconds: 600 } });
        await place.publish(topic, 'before');
        const subscription = await place.createSubscription(topic);
        await seekTo(place, subscription, Date.now() - hourMs);
        assert.deepEqual(textsOf(await place.pull(subscription)), ['before']);
      },
    },
    {
      name: 'does not replay acked messages that nobody retained',
      source: sources.seek,
      async run(place) {
        const { topic, subscription } = await arrange(place, {});
        await place.publish(topic, 'unacked');
        await seekTo(place, subscription, Date.now() - hourMs);
        assert.deepEqual(textsOf(await place.pull(subscription)), ['unacked']);
        assert.deepEqual(await place.pullNow(subscription), []);
      },
    },
    {
      name: 'purges what is unacked, outstanding ones too, by a seek to the future',
      source: sources.seek,
      async run(place) {
        const { topic, subscription } = await place.subscribe();
        await place.publish(topic, 'a', 'b');
        const received = await place.pull(subscription, 1);
        await seekTo(place, subscription, Date.now() + hourMs);
        await place.nack(subscription, ...received);
        assert.deepEqual(await place.pullNow(subscription), []);
        await place.publish(topic, 'later');
        assert.deepEqual(textsOf(await place.pull(subscription)), ['later']);
      },
    },
    {
      name: 'replays what a seek purged, when it is retained',
      source: sources.seek,
      async run(place) {
        const { topic, subscription } = await place.subscribe({ retainAckedMessages: true });
        await place.publish(topic, 'a');
        await seekTo(place, subscription, Date.now() + hourMs);
        assert.deepEqual(await place.pullNow(subscription), []);
        await seekTo(place, subscription, Date.now() - hourMs);
        assert.deepEqual(textsOf(await place.pull(subscription)), ['a']);
      },
      google: {
        does: 'brings nothing of it back',
        async run(place) {
          const { topic, subscription } = await place.subscribe({ retainAckedMessages: true });
          await place.publish(topic, 'a');
          await seekTo(place, subscription, Date.now() + hourMs);
          await seekTo(place, subscription, Date.now() - hourMs);
          await place.publish(topic, 'b');
          assert.deepEqual(textsOf(await place.pull(subscription)), ['b']);
          assert.deepEqual(await place.pullNow(subscription), []);
        },
      },
    },
    {
      name: 'delivers what a seek brings back on an open stream',
      source: sources.seek,
      async run(place) {
        const { subscription } = await arrange(place, { retainAckedMessages: true });
        const stream = place.stream(subscription);
        await seekTo(place, subscription, Date.now() - hourMs);
        assert.deepEqual(textsOf(await stream.take(3)).sort(), ['a', 'b', 'c']);
      },
    },
    {
      name: 'refuses a seek without a target',
      source: sources.seek,
      async run(place) {
        const { subscription } = await place.subscribe();
        await refuses(
          place.subscriber.seek({ subscription }),
          'INVALID_ARGUMENT',
          'No target was specified in the SeekRequest. Must specify either a time or a snapshot',
        );
      },
    },
    {
      name: 'shows the retention of the topic in its subscriptions',
      source: sources.subscription,
      async run(place) {
        const { subscription } = await place.subscribe({}, { messageRetentionDuration: { seconds: 700 } });
        const shown = await place.subscriber.getSubscription({ subscription });
        assert.equal(Number(shown.topicMessageRetentionDuration?.seconds), 700);
      },
      google: {
        does: 'does not show it',
        async run(place) {
          const { subscription } = await place.subscribe({}, { messageRetentionDuration: { seconds: 700 } });
          const shown = await place.subscriber.getSubscription({ subscription });
          assert.equal(shown.topicMessageRetentionDuration ?? undefined, undefined);
        },
      },
    },
  ],
};
