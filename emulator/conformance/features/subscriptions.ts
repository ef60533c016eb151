import assert from 'node:assert/strict';
import type { Check, Feature } from '../check.ts';
import { allRefuse, missing, refuses, textsOf } from '../expect.ts';
import type { Place, SubscriptionSettings } from '../place.ts';
import { ackIdsOf } from '../pull-stream.ts';
import { sources } from '../sources.ts';

const bad = 'Invalid update_mask provided in the UpdateSubscriptionRequest:';
const notKnown = (path: string) =>
  `${bad} ${path} is not a known Subscription field. Note that field paths must be of the form 'push_config' rather than 'pushConfig'.`;

function update(place: Place, settings: SubscriptionSettings, paths: string[]) {
  const subscription = { name: place.subscriptionName(), ...settings };
  return place.subscriber.updateSubscription({ subscription, updateMask: { paths } });
}

function refusesMask(path: string, before: SubscriptionSettings): NonNullable<Check['google']> {
  return {
    does: 'refuses the path: not a known Subscription field',
    async run(place) {
      await place.subscribe(before);
      await refuses(update(place, {}, [path]), 'INVALID_ARGUMENT', notKnown(path));
    },
  };
}

/** As JSON; durations as the number of their seconds. */
async function shown(place: Place): Promise<Record<string, unknown>> {
  const subscription = place.subscriptionName();
  const json = JSON.stringify(await place.subscriber.getSubscription({ subscription }));
  return JSON.parse(json, (_, value) => (value?.seconds ? Number(value.seconds) : value));
}

/** What an update changes, by field. */
const changes: [path: string, key: string, wanted: SubscriptionSettings, shown: unknown][] = [
  ['ack_deadline_seconds', 'ackDeadlineSeconds', { ackDeadlineSeconds: 77 }, 77],
  [
    'message_retention_duration',
    'messageRetentionDuration',
    { messageRetentionDuration: { seconds: 700 } },
    700,
  ],
  ['retain_acked_messages', 'retainAckedMessages', { retainAckedMessages: true }, true],
  ['enable_exactly_once_delivery', 'enableExactlyOnceDelivery', { enableExactlyOnceDelivery: true }, true],
  [
    'retry_policy',
    'retryPolicy',
    { retryPolicy: { minimumBackoff: { seconds: 3 }, maximumBackoff: { seconds: 4 } } },
    { minimumBackoff: 3, maximumBackoff: 4 },
  ],
];

const seconds = (minimum: number, maximum: number): SubscriptionSettings => ({
  retryPolicy: { minimumBackoff: { seconds: minimum }, maximumBackoff: { seconds: maximum } },
});
const endpoint = (path: string) => `http://127.0.0.1:9/${path}`;

/** What an update changes within a field, whose rest stays. */
const parts: [
  path: string,
  key: string,
  before: SubscriptionSettings,
  wanted: SubscriptionSettings,
  shown: unknown,
][] = [
  [
    'retry_policy.minimum_backoff',
    'retryPolicy',
    seconds(3, 20),
    seconds(4, 30),
    { minimumBackoff: 4, maximumBackoff: 20 },
  ],
  [
    'retry_policy.maximum_backoff',
    'retryPolicy',
    seconds(3, 20),
    seconds(4, 30),
    { minimumBackoff: 3, maximumBackoff: 30 },
  ],
  [
    'expiration_policy.ttl',
    'expirationPolicy',
    { expirationPolicy: {} },
    { expirationPolicy: { ttl: { seconds: 700_000 } } },
    { ttl: 700_000 },
  ],
];

/** Sent once, shown for ever. */
const fixed: [path: string, settings: SubscriptionSettings][] = [
  ['topic', { topic: 'projects/other/topics/other' }],
  ['enable_message_ordering', { enableMessageOrdering: true }],
  ['detached', { detached: true }],
];

const expirations: Check[] = [
  {
    name: 'gives a subscription without a policy the expiration after 31 days',
    source: sources.subscription,
    async run(place) {
      await place.subscribe();
      assert.deepEqual((await shown(place)).expirationPolicy, { ttl: 2_678_400 });
    },
    google: {
      does: 'shows no expiration policy',
      async run(place) {
        await place.subscribe();
        assert.equal((await shown(place)).expirationPolicy, undefined);
      },
    },
  },
  {
    name: 'takes an expiration policy without a ttl as never',
    source: sources.subscription,
    async run(place) {
      await place.subscribe({ expirationPolicy: {} });
      assert.deepEqual((await shown(place)).expirationPolicy, {});
    },
  },
  {
    name: 'takes an expiration after a day, and refuses one a second before',
    source: sources.subscription,
    async run(place) {
      const settings = (seconds: number) => ({
        expirationPolicy: { ttl: { seconds } },
        messageRetentionDuration: { seconds: 600 },
      });
      await place.subscribe(settings(86_400));
      await refuses(
        place.createSubscription(place.topicName(), 'short', settings(86_399)),
        'INVALID_ARGUMENT',
        'expiration_policy.ttl out of bounds',
      );
    },
    google: {
      does: 'stores any, also a second, and expires nothing',
      async run(place) {
        const { topic, subscription } = await place.subscribe({ expirationPolicy: { ttl: { seconds: 1 } } });
        await new Promise((resolve) => setTimeout(resolve, 3_000));
        await place.publish(topic, 'one');
        assert.deepEqual(textsOf(await place.pull(subscription)), ['one']);
      },
    },
  },
  {
    name: 'updates the expiration policy',
    source: sources.updateSubscription,
    async run(place) {
      await place.subscribe();
      await update(place, { expirationPolicy: {} }, ['expiration_policy']);
      assert.deepEqual((await shown(place)).expirationPolicy, {});
    },
    google: {
      does: 'refuses: unsupported in the Pub/Sub Emulator',
      async run(place) {
        await place.subscribe();
        await refuses(
          update(place, { expirationPolicy: {} }, ['expiration_policy']),
          'INVALID_ARGUMENT',
          'Updating the expiration_policy field is currently unsupported in the Pub/Sub Emulator.',
        );
      },
    },
  },
];

const detach: Check[] = [
  {
    name: 'detaches a subscription: it is shown so, holds nothing, and cannot be pulled',
    source: sources.detach,
    async run(place) {
      const { topic, subscription } = await place.subscribe();
      await place.publish(topic, 'dropped');
      await place.publisher.detachSubscription({ subscription });
      assert.equal((await shown(place)).detached, true);
      await refuses(place.pullNow(subscription), 'FAILED_PRECONDITION', /detached/);
      assert.deepEqual((await place.publisher.listTopicSubscriptions({ topic })).subscriptions, []);
    },
    google: {
      does: 'has no DetachSubscription',
      async run(place) {
        const { subscription } = await place.subscribe();
        await refuses(
          place.publisher.detachSubscription({ subscription }),
          'UNIMPLEMENTED',
          'Method google.pubsub.v1.Publisher/DetachSubscription is unimplemented',
        );
      },
    },
  },
];

const updates: Check[] = [
  ...changes.map(
    ([path, key, wanted, value]): Check => ({
      name: `updates ${path}`,
      source: sources.updateSubscription,
      async run(place) {
        await place.subscribe();
        await update(place, wanted, [path]);
        assert.deepEqual((await shown(place))[key], value);
      },
    }),
  ),
  ...parts.map(
    ([path, key, before, wanted, value]): Check => ({
      name: `updates ${path}, and nothing beside it`,
      source: sources.updateSubscription,
      async run(place) {
        await place.subscribe(before);
        await update(place, wanted, [path]);
        assert.deepEqual((await shown(place))[key], value);
      },
      google: refusesMask(path, before),
    }),
  ),
  {
    name: 'updates push_config.push_endpoint, and nothing beside it',
    source: sources.updateSubscription,
    async run(place) {
      await place.subscribe({
        pushConfig: { pushEndpoint: endpoint('a'), noWrapper: { writeMetadata: true } },
      });
      await update(place, { pushConfig: { pushEndpoint: endpoint('b') } }, ['push_config.push_endpoint']);
      const pushed = (await shown(place)).pushConfig as SubscriptionSettings['pushConfig'];
      assert.deepEqual([pushed?.pushEndpoint, pushed?.noWrapper], [endpoint('b'), { writeMetadata: true }]);
    },
    google: refusesMask('push_config.push_endpoint', { pushConfig: { pushEndpoint: endpoint('a') } }),
  },
  {
    name: 'updates dead_letter_policy.dead_letter_topic and .max_delivery_attempts, each by itself',
    source: sources.updateSubscription,
    async run(place) {
      const [first, second] = [await place.createTopic('first'), await place.createTopic('second')];
      await place.subscribe({ deadLetterPolicy: { deadLetterTopic: first, maxDeliveryAttempts: 6 } });
      const wanted = { deadLetterPolicy: { deadLetterTopic: second, maxDeliveryAttempts: 7 } };
      await update(place, wanted, ['dead_letter_policy.dead_letter_topic']);
      const { deadLetterPolicy } = await shown(place);
      assert.deepEqual(deadLetterPolicy, { deadLetterTopic: second, maxDeliveryAttempts: 6 });
      await update(place, wanted, ['dead_letter_policy.max_delivery_attempts']);
      assert.deepEqual((await shown(place)).deadLetterPolicy, wanted.deadLetterPolicy);
    },
    google: refusesMask('dead_letter_policy.dead_letter_topic', {}),
  },
  {
    name: 'leaves a policy that neither had, and refuses a part that a field does not have',
    source: sources.updateSubscription,
    async run(place) {
      await place.subscribe();
      await update(place, {}, ['retry_policy.minimum_backoff', 'dead_letter_policy.dead_letter_topic']);
      const { retryPolicy, deadLetterPolicy } = await shown(place);
      assert.deepEqual([retryPolicy, deadLetterPolicy], [undefined, undefined]);
      for (const path of [
        'retry_policy.color',
        'labels.team',
        'retryPolicy',
        'retry_policy.minimumBackoff',
      ]) {
        await refuses(update(place, seconds(1, 2), [path]), 'INVALID_ARGUMENT', notKnown(path));
      }
    },
    google: refusesMask('retry_policy.minimum_backoff', {}),
  },
  {
    name: 'takes a mask that names a sink when there was none and is to be none',
    source: sources.updateSubscription,
    async run(place) {
      await place.subscribe();
      const paths = ['ack_deadline_seconds', 'bigquery_config', 'cloud_storage_config.bucket'];
      await update(place, { ackDeadlineSeconds: 99, bigqueryConfig: {} }, paths);
      assert.equal((await shown(place)).ackDeadlineSeconds, 99);
    },
    google: refusesMask('bigquery_config', {}),
  },
  {
    name: 'updates the labels',
    source: sources.updateSubscription,
    async run(place) {
      await place.subscribe({ labels: { team: 'shop' } });
      await update(place, { labels: { team: 'mail' } }, ['labels']);
      assert.deepEqual((await shown(place)).labels, { team: 'mail' });
    },
    google: {
      does: 'refuses: labels is not a known Subscription field',
      async run(place) {
        await place.subscribe();
        await refuses(update(place, {}, ['labels']), 'INVALID_ARGUMENT', notKnown('labels'));
      },
    },
  },
  {
    name: 'clears a retry policy and a dead-letter policy that an update leaves out',
    source: sources.updateSubscription,
    async run(place) {
      const dead = await place.createTopic('dead');
      await place.subscribe({
        retryPolicy: { minimumBackoff: { seconds: 1 } },
        deadLetterPolicy: { deadLetterTopic: dead, maxDeliveryAttempts: 6 },
      });
      assert.ok((await shown(place)).retryPolicy);
      await update(place, {}, ['retry_policy', 'dead_letter_policy']);
      const { retryPolicy, deadLetterPolicy } = await shown(place);
      assert.deepEqual([retryPolicy, deadLetterPolicy], [undefined, undefined]);
    },
  },
  ...fixed.map(
    ([path, settings]): Check => ({
      name: `refuses an update of ${path}, which is fixed`,
      source: sources.updateSubscription,
      async run(place) {
        await place.subscribe();
        const text = `${bad} the ${path} field in the Subscription is not mutable.`;
        await refuses(update(place, settings, [path]), 'INVALID_ARGUMENT', text);
      },
    }),
  ),
  {
    name: 'refuses an update of a field that is none, and then changes nothing',
    source: sources.updateSubscription,
    async run(place) {
      await place.subscribe();
      const paths = ['ack_deadline_seconds', 'color'];
      await refuses(update(place, { ackDeadlineSeconds: 99 }, paths), 'INVALID_ARGUMENT', notKnown('color'));
      assert.equal((await shown(place)).ackDeadlineSeconds, 10);
    },
  },
  {
    name: 'refuses an update of a subscription without a name, or with a malformed one',
    source: sources.names,
    async run({ subscriber }) {
      for (const name of ['', 'nonsense', 'projects/project/subscriptions/ab']) {
        const subscription = { name, ackDeadlineSeconds: 20 };
        const updateMask = { paths: ['ack_deadline_seconds'] };
        const text = `Invalid [subscriptions] name: (name=${name})`;
        await refuses(subscriber.updateSubscription({ subscription, updateMask }), 'INVALID_ARGUMENT', text);
      }
    },
  },
  {
    name: 'refuses an update without a mask, and of a missing subscription',
    source: sources.updateSubscription,
    async run(place) {
      await refuses(
        update(place, { ackDeadlineSeconds: 20 }, ['ack_deadline_seconds']),
        'NOT_FOUND',
        missing,
      );
      await place.subscribe();
      const text =
        'The update_mask in the UpdateSubscriptionRequest must be set, and must contain a non-empty paths list.';
      await refuses(update(place, {}, []), 'INVALID_ARGUMENT', text);
    },
  },
];

export const subscriptions: Feature = {
  title: 'subscriptions: create, get, update, expire, detach, delete',
  checks: [
    {
      name: 'gives a subscription the documented defaults',
      source: sources.subscription,
      async run(place) {
        const { topic } = await place.subscribe();
        const { ackDeadlineSeconds, messageRetentionDuration, pushConfig, ...rest } = await shown(place);
        assert.equal(ackDeadlineSeconds, 10);
        assert.deepEqual([messageRetentionDuration, pushConfig], [604_800, {}]);
        assert.deepEqual([rest.name, rest.topic], [place.subscriptionName(), topic]);
        assert.deepEqual([rest.enableMessageOrdering ?? false, rest.detached ?? false], [false, false]);
      },
    },
    {
      name: 'refuses to create a subscription that exists',
      source: sources.subscription,
      async run(place) {
        const { topic } = await place.subscribe();
        await refuses(place.createSubscription(topic), 'ALREADY_EXISTS', 'Subscription already exists');
      },
    },
    {
      name: 'refuses a subscription of a missing topic',
      source: sources.subscription,
      async run(place) {
        const answer = place.createSubscription(place.topicName('none'));
        await refuses(answer, 'NOT_FOUND', missing);
      },
    },
    {
      name: 'says NOT_FOUND to get, delete, pull, ack, modify and seek a missing subscription',
      source: sources.errors,
      async run(place) {
        const { subscriber } = place;
        const known = await place.subscribe();
        await place.publish(known.topic, 'x');
        const ackIds = ackIdsOf(await place.pull(known.subscription));
        const subscription = place.subscriptionName('none');
        await allRefuse(
          [
            subscriber.getSubscription({ subscription }),
            subscriber.deleteSubscription({ subscription }),
            subscriber.pull({ subscription, maxMessages: 1 }),
            subscriber.acknowledge({ subscription, ackIds }),
            subscriber.modifyAckDeadline({ subscription, ackIds, ackDeadlineSeconds: 10 }),
            subscriber.modifyPushConfig({ subscription, pushConfig: {} }),
            subscriber.seek({ subscription, time: { seconds: 1 } }),
          ],
          'NOT_FOUND',
          missing,
        );
      },
    },
    {
      name: 'refuses names that break the rules',
      source: sources.names,
      async run(place) {
        const topic = await place.createTopic();
        for (const id of ['ab', '1abc', 'goog-abc', 'a b', 'a'.repeat(256)]) {
          const text = `Invalid [subscriptions] name: (name=${place.subscriptionName(id)})`;
          await refuses(place.createSubscription(topic, id), 'INVALID_ARGUMENT', text);
        }
      },
    },
    {
      name: 'deletes a subscription with what it holds',
      source: sources.subscription,
      async run(place) {
        const { topic, subscription } = await place.subscribe();
        await place.publish(topic, 'gone');
        await place.subscriber.deleteSubscription({ subscription });
        await refuses(place.pullNow(subscription), 'NOT_FOUND', missing);
        await place.createSubscription(topic);
        assert.deepEqual(await place.pullNow(subscription), []);
      },
    },
    {
      name: 'keeps durations to the nanosecond',
      source: sources.subscription,
      async run(place) {
        const day = { seconds: 86_400, nanos: 1 };
        const wanted = {
          messageRetentionDuration: { seconds: 10_000, nanos: 123_456_789 },
          retryPolicy: {
            minimumBackoff: { seconds: 10, nanos: 123_456_789 },
            maximumBackoff: { seconds: 599, nanos: 999_999_999 },
          },
        };
        const { subscription } = await place.subscribe({ ...wanted, expirationPolicy: { ttl: day } });
        const { messageRetentionDuration, retryPolicy, expirationPolicy } =
          await place.subscriber.getSubscription({ subscription });
        const nanos = [
          messageRetentionDuration?.nanos,
          retryPolicy?.minimumBackoff?.nanos,
          retryPolicy?.maximumBackoff?.nanos,
          expirationPolicy?.ttl?.nanos,
        ];
        assert.deepEqual(nanos, [123_456_789, 123_456_789, 999_999_999, 1]);
      },
    },
    ...updates,
    {
      name: 'refuses an update of the filter, which is fixed',
      source: sources.filter,
      async run(place) {
        await place.subscribe();
        const text = `${bad} the filter field in the Subscription is not mutable.`;
        await refuses(update(place, { filter: 'attributes:a' }, ['filter']), 'INVALID_ARGUMENT', text);
      },
      google: {
        does: 'refuses with another text',
        follows: true,
        async run(place) {
          await place.subscribe();
          const text = 'Updating the filter field is currently unsupported in the Pub/Sub Emulator.';
          await refuses(update(place, { filter: 'attributes:a' }, ['filter']), 'INVALID_ARGUMENT', text);
        },
      },
    },
    ...expirations,
    ...detach,
  ],
};
