import assert from 'node:assert/strict';
import type { Feature } from '../check.ts';
import { takes, textsOf } from '../expect.ts';
import type { Place, SubscriptionSettings } from '../place.ts';
import type { Received } from '../pull-stream.ts';
import { sources } from '../sources.ts';

const policy = (minimum: number, maximum: number) => ({
  retryPolicy: { minimumBackoff: { seconds: minimum }, maximumBackoff: { seconds: maximum } },
});

/** The next delivery of what was `received`, that comes `fromMs` to `toMs` after its nack. */
function nackAndPull(place: Place, subscription: string, received: Received[], bounds: [number, number]) {
  return takes(bounds, async () => {
    await place.nack(subscription, ...received);
    return place.pull(subscription);
  });
}

async function arrange(place: Place, settings: SubscriptionSettings) {
  const { topic, subscription } = await place.subscribe(settings);
  await place.publish(topic, 'x');
  return { topic, subscription, received: await place.pull(subscription) };
}

/** The deadline of what was received is a second then. */
async function expire(place: Place, subscription: string, received: Received[]): Promise<Received[]> {
  await place.modify(subscription, 1, ...received);
  return place.pull(subscription);
}

export const retry: Feature = {
  title: 'retry policy',
  checks: [
    {
      name: 'waits the minimum backoff after the first nack',
      source: sources.retry,
      async run(place) {
        const { subscription, received } = await arrange(place, policy(2, 600));
        await nackAndPull(place, subscription, received, [2_000, 12_000]);
      },
      google: {
        does: 'redelivers at once after the first nack, and waits from the second on',
        async run(place) {
          const { subscription, received } = await arrange(place, policy(10, 600));
          const second = await nackAndPull(place, subscription, received, [0, 9_000]);
          await nackAndPull(place, subscription, second, [10_000, 30_000]);
        },
      },
    },
    {
      name: 'waits longer after each nack, and never longer than the maximum backoff',
      source: sources.retry,
      async run(place) {
        const { subscription, received } = await arrange(place, policy(1, 3));
        let next = await nackAndPull(place, subscription, received, [1_000, 10_000]);
        for (const [fromMs, toMs] of [
          [2_000, 10_000],
          [3_000, 10_000],
          [3_000, 10_000],
        ] as const) {
          next = await nackAndPull(place, subscription, next, [fromMs, toMs]);
        }
      },
      google: {
        does: 'waits one backoff less: it begins with the second nack',
        async run(place) {
          const { subscription, received } = await arrange(place, policy(1, 3));
          let next = received;
          for (const fromMs of [0, 1_000, 1_000]) {
            next = await nackAndPull(place, subscription, next, [fromMs, 12_000]);
          }
        },
      },
    },
    {
      name: 'waits after a deadline that passed too',
      source: sources.retryPolicy,
      async run(place) {
        const { subscription, received } = await arrange(place, policy(2, 600));
        await takes([3_000, 13_000], () => expire(place, subscription, received));
      },
      google: {
        does: 'redelivers without a wait the first time',
        async run(place) {
          const { subscription, received } = await arrange(place, policy(20, 600));
          await takes([1_000, 11_000], () => expire(place, subscription, received));
        },
      },
    },
    {
      name: 'does not hold back other messages while one waits',
      source: sources.retry,
      async run(place) {
        const { topic, subscription, received } = await arrange(place, policy(60, 600));
        await place.nack(subscription, ...received);
        // Google's emulator waits from the second nack on.
        const early = await place.pullNow(subscription);
        if (early.length > 0) await place.nack(subscription, ...early);
        await place.publish(topic, 'y');
        assert.deepEqual(textsOf(await place.pull(subscription)), ['y']);
      },
    },
    {
      name: 'gives an empty policy the default of 10 s to 600 s',
      source: sources.retryPolicy,
      async run(place) {
        const { subscription } = await place.subscribe({ retryPolicy: {} });
        const { retryPolicy } = await place.subscriber.getSubscription({ subscription });
        assert.equal(Number(retryPolicy?.minimumBackoff?.seconds), 10);
        assert.equal(Number(retryPolicy?.maximumBackoff?.seconds), 600);
      },
    },
  ],
};
