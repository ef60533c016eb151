import assert from 'node:assert/strict';
import type { Check, Feature } from '../check.ts';
import { attemptsOf, idsOf, textsOf } from '../expect.ts';
import type { Place } from '../place.ts';
import type { Received } from '../pull-stream.ts';
import { sources } from '../sources.ts';

type End = 'stop' | 'kill';

/** Runs `before` on an emulator of its own, ends and starts that, and runs `after`. */
async function over(
  place: Place,
  end: End,
  before: (place: Place) => Promise<void>,
  after: (place: Place) => Promise<void>,
): Promise<void> {
  const server = await place.start();
  const first = place.at(server.host);
  try {
    await before(first);
  } finally {
    first.close();
  }
  await server[end]();
  await server.restart();
  const second = place.at(server.host);
  try {
    await after(second);
  } finally {
    second.close();
  }
}

const lost = (end: End) => ({
  does: 'has nothing any more',
  run: (place: Place) =>
    over(
      place,
      end,
      async (before) => {
        const { topic } = await before.subscribe();
        await before.publish(topic, 'x');
      },
      async (after) => {
        const { project } = after;
        assert.deepEqual((await after.publisher.listTopics({ project })).topics, []);
        assert.deepEqual((await after.subscriber.listSubscriptions({ project })).subscriptions, []);
      },
    ),
});

/** The one message of a new emulator, delivered: on the second it is declared, published and pulled as on the first. */
async function pullFromTwo(
  place: Place,
  check: (late: Received, second: Place, received: Received) => Promise<void>,
) {
  const received: Received[] = [];
  for (const isLast of [false, true]) {
    const server = await place.start();
    const one = place.at(server.host);
    try {
      const { topic, subscription } = await one.subscribe();
      await one.publish(topic, isLast ? 'B' : 'A');
      received.push(...(await one.pull(subscription)));
      const [late, present] = received;
      if (late && present) await check(late, one, present);
    } finally {
      one.close();
    }
    await server.kill();
  }
}

const checks: Check[] = [
  {
    name: 'gives no message id and no ack id again after its data was wiped: a late ack acks nothing',
    source: sources.message,
    starts: true,
    run: (place) =>
      pullFromTwo(place, async (late, second, received) => {
        assert.notDeepEqual(idsOf([received]), idsOf([late]));
        assert.match(idsOf([received])[0] ?? '', /^\d{16,19}$/);
        const subscription = second.subscriptionName();
        await second.ack(subscription, late);
        await second.nack(subscription, late);
        await second.nack(subscription, received);
        assert.deepEqual(textsOf(await second.pull(subscription)), ['B']);
      }),
    google: {
      does: 'gives the same ids again, and the late ack acks the new message',
      run: (place) =>
        pullFromTwo(place, async (late, second, received) => {
          assert.deepEqual(idsOf([received]), idsOf([late]));
          assert.equal(received.ackId, late.ackId);
          const subscription = second.subscriptionName();
          await second.ack(subscription, late);
          await second.nack(subscription, received);
          assert.deepEqual(await second.pullNow(subscription), []);
        }),
    },
  },
  {
    name: 'keeps topics, subscriptions, snapshots and their settings over a stop',
    source: sources.readme,
    starts: true,
    async run(place) {
      const shown = async ({ publisher, subscriber, ...names }: Place) => [
        await publisher.getTopic({ topic: `${names.project}/topics/topic` }),
        await subscriber.getSubscription({ subscription: `${names.project}/subscriptions/subscription` }),
        await subscriber.getSnapshot({ snapshot: `${names.project}/snapshots/snapshot` }),
      ];
      let before: unknown[] = [];
      await over(
        place,
        'stop',
        async (first) => {
          const { subscription } = await first.subscribe(
            { labels: { team: 'shop' }, filter: 'attributes:a', ackDeadlineSeconds: 77 },
            { messageRetentionDuration: { seconds: 700 } },
          );
          await first.subscriber.createSnapshot({ name: first.snapshotName(), subscription });
          before = await shown(first);
        },
        async (second) => assert.deepEqual(await shown(second), before),
      );
    },
    google: lost('stop'),
  },
  {
    name: 'keeps every message it confirmed, and every ack, over kill -9',
    source: sources.readme,
    starts: true,
    async run(place) {
      const texts = Array.from({ length: 500 }, (_, number) => `${number}`);
      let unacked: string[] = [];
      await over(
        place,
        'kill',
        async (first) => {
          const { topic, subscription } = await first.subscribe();
          await first.publish(topic, ...texts);
          const received = await first.pullCount(subscription, 100);
          await first.ack(subscription, ...received);
          const acked = new Set(textsOf(received));
          unacked = texts.filter((text) => !acked.has(text));
        },
        async (second) => {
          const received = await second.pullCount(second.subscriptionName(), unacked.length);
          assert.deepEqual(textsOf(received).sort(), unacked.sort());
          assert.deepEqual(await second.pullNow(second.subscriptionName()), []);
        },
      );
    },
    google: lost('kill'),
  },
  {
    name: 'keeps delivery attempts and ack ids over kill -9',
    source: sources.readme,
    starts: true,
    async run(place) {
      const before: Awaited<ReturnType<Place['pull']>> = [];
      await over(
        place,
        'kill',
        async (first) => {
          const deadLetterTopic = await first.createTopic('dead');
          const deadLetterPolicy = { deadLetterTopic, maxDeliveryAttempts: 5 };
          const { topic, subscription } = await first.subscribe({ deadLetterPolicy });
          await first.publish(topic, 'acked later', 'tried twice');
          before.push(...(await first.pullCount(subscription, 2)));
          // Confirmed after the attempts were written: so those are on the disk too.
          await first.createTopic('later');
        },
        async (second) => {
          const subscription = second.subscriptionName();
          const late = before.filter((one) => textsOf([one])[0] === 'acked later');
          await second.ack(subscription, ...late);
          const received = await second.pull(subscription);
          assert.deepEqual([textsOf(received), attemptsOf(received)], [['tried twice'], [2]]);
        },
      );
    },
    google: lost('kill'),
  },
];

export const restart: Feature = { title: 'a stop and kill -9', checks };
