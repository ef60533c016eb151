import assert from 'node:assert/strict';
import type { Check, Feature } from '../check.ts';
import { endsWith, refuses, textsOf } from '../expect.ts';
import type { NewMessage, Place, SubscriptionSettings } from '../place.ts';
import { type Endpoint, startEndpoint } from '../push-endpoint.ts';
import { sources } from '../sources.ts';

/** Runs with an endpoint that answers with `statuses` in turn, the last one for ever. */
async function withEndpoint(statuses: number[], run: (endpoint: Endpoint) => Promise<void>): Promise<void> {
  const endpoint = await startEndpoint(statuses);
  try {
    await run(endpoint);
  } finally {
    await endpoint.close();
  }
}

const to = ({ url }: Endpoint, more: object = {}): SubscriptionSettings => ({
  pushConfig: { pushEndpoint: url, ...more },
});

const full: NewMessage = { data: Buffer.from('Hello'), attributes: { kind: 'test' }, orderingKey: 'key' };

/** One message, pushed as long as it is not acked: pushed once, or pushed again. */
function pushes(status: number, again: boolean) {
  return (place: Place) =>
    withEndpoint([status], async (endpoint) => {
      const { topic, subscription } = await place.subscribe(to(endpoint));
      await place.publish(topic, 'x');
      await endpoint.take(again ? 2 : 1);
      if (again) return;
      // Acked: nothing is left when it is pulled instead.
      await place.subscriber.modifyPushConfig({ subscription, pushConfig: {} });
      assert.deepEqual(await place.pullNow(subscription), []);
      assert.equal(endpoint.pushed.length, 1);
    });
}

const statuses: Check[] = [
  ...[200, 201, 204].map((status) => ({
    name: `takes an answer with ${status} as the ack`,
    source: sources.push,
    run: pushes(status, false),
  })),
  {
    name: 'takes an answer with 202 as the ack',
    source: sources.push,
    run: pushes(202, false),
    google: { does: 'pushes again', run: pushes(202, true) },
  },
  {
    name: 'takes an answer with 203 as a nack',
    source: sources.push,
    run: pushes(203, true),
    google: { does: 'takes it as the ack', run: pushes(203, false) },
  },
  ...[302, 400, 429, 503].map((status) => ({
    name: `pushes again after an answer with ${status}`,
    source: sources.push,
    run: pushes(status, true),
  })),
];

const nowhere = 'http://127.0.0.1:9/';
const version = (value: string) => ({ 'x-goog-version': value });

/** As GetSubscription shows them. */
async function attributesOf(place: Place): Promise<object> {
  const { pushConfig } = await place.subscriber.getSubscription({ subscription: place.subscriptionName() });
  return { ...pushConfig?.attributes };
}

const versions: Check[] = [
  {
    name: 'shows the version of a push subscription, also where none was set',
    source: sources.pushConfig,
    async run(place) {
      await place.subscribe({ pushConfig: { pushEndpoint: nowhere } });
      assert.deepEqual(await attributesOf(place), version('v1'));
    },
    google: {
      does: 'shows none',
      async run(place) {
        await place.subscribe({ pushConfig: { pushEndpoint: nowhere } });
        assert.deepEqual(await attributesOf(place), {});
      },
    },
  },
  {
    name: 'takes the version v1beta2 as v1',
    source: sources.pushConfig,
    run: (place) =>
      withEndpoint([204], async (endpoint) => {
        const { topic, subscription } = await place.subscribe(
          to(endpoint, { attributes: version('v1beta2') }),
        );
        assert.deepEqual(await attributesOf(place), version('v1beta2'));
        const [id] = await place.publish(topic, 'x');
        const [pushed] = await endpoint.take(1);
        const body = JSON.parse(pushed?.body ?? '');
        assert.deepEqual([body.subscription, body.message.messageId], [subscription, id]);
      }),
  },
  {
    name: 'keeps the version when ModifyPushConfig gives none',
    source: sources.pushConfig,
    async run(place) {
      const attributes = version('v1beta2');
      const { subscription } = await place.subscribe({ pushConfig: { pushEndpoint: nowhere, attributes } });
      await place.subscriber.modifyPushConfig({ subscription, pushConfig: { pushEndpoint: `${nowhere}b` } });
      assert.deepEqual(await attributesOf(place), attributes);
    },
    google: {
      does: 'drops it',
      async run(place) {
        const attributes = version('v1beta2');
        const { subscription } = await place.subscribe({ pushConfig: { pushEndpoint: nowhere, attributes } });
        await place.subscriber.modifyPushConfig({
          subscription,
          pushConfig: { pushEndpoint: `${nowhere}b` },
        });
        assert.deepEqual(await attributesOf(place), {});
      },
    },
  },
  {
    name: 'keeps the attributes of a pull subscription, and refuses those that do not exist',
    source: sources.pushConfig,
    async run(place) {
      await place.subscribe({ pushConfig: { attributes: version('v1beta2') } });
      assert.deepEqual(await attributesOf(place), version('v1beta2'));
      const pushConfig = { attributes: version('v1beta1') };
      const subscription = { name: place.subscriptionName(), pushConfig };
      const updateMask = { paths: ['push_config.attributes'] };
      await place.subscriber.updateSubscription({ subscription, updateMask });
      assert.deepEqual(await attributesOf(place), version('v1beta1'));
      for (const attributes of [version('v2'), { color: 'red' }]) {
        const answer = place.createSubscription(place.topicName(), 'other', { pushConfig: { attributes } });
        await refuses(answer, 'INVALID_ARGUMENT', /^Unsupported push_config attribute/);
      }
    },
    google: {
      does: 'takes any',
      async run(place) {
        await place.subscribe({ pushConfig: { attributes: { color: 'red' } } });
        assert.deepEqual(await attributesOf(place), { color: 'red' });
      },
    },
  },
  {
    name: 'refuses to push in the format of v1beta1',
    source: sources.pushConfig,
    refuses: 'a push subscription in the format of v1beta1 (x-goog-version)',
    async run(place) {
      const pushConfig = { pushEndpoint: nowhere, attributes: version('v1beta1') };
      await refuses(
        place.subscribe({ pushConfig }),
        'UNIMPLEMENTED',
        /^x-goog-version=v1beta1 of a PushConfig/,
      );
    },
    google: {
      does: 'takes it, and pushes in the format of v1',
      run: (place) =>
        withEndpoint([204], async (endpoint) => {
          const { topic, subscription } = await place.subscribe(
            to(endpoint, { attributes: version('v1beta1') }),
          );
          await place.publish(topic, 'x');
          const [pushed] = await endpoint.take(1);
          assert.equal(JSON.parse(pushed?.body ?? '').subscription, subscription);
        }),
    },
  },
];

const configs: Check[] = [
  {
    name: 'refuses a push endpoint that is no URL of http or https',
    source: sources.push,
    async run(place) {
      const topic = await place.createTopic();
      for (const pushEndpoint of ['ftp://localhost/', 'nonsense']) {
        const answer = place.createSubscription(topic, 'pushed', { pushConfig: { pushEndpoint } });
        await refuses(answer, 'INVALID_ARGUMENT', 'Unsupported push_endpoint');
      }
    },
  },
  {
    name: 'refuses StreamingPull on a push subscription',
    source: sources.push,
    async run(place) {
      const pushConfig = { pushEndpoint: 'http://127.0.0.1:9/' };
      const { subscription } = await place.subscribe({ pushConfig });
      const text = `Subscription is a push subscription: (resource=${subscription})`;
      endsWith(await place.stream(subscription).ended, 'FAILED_PRECONDITION', text);
    },
  },
  {
    name: 'refuses Pull on a push subscription',
    source: sources.push,
    async run(place) {
      const pushConfig = { pushEndpoint: 'http://127.0.0.1:9/' };
      const { subscription } = await place.subscribe({ pushConfig });
      const text = `Subscription is a push subscription: (resource=${subscription})`;
      await refuses(place.pullNow(subscription), 'FAILED_PRECONDITION', text);
    },
    google: {
      does: 'answers it, between two pushes',
      async run(place) {
        const pushConfig = { pushEndpoint: 'http://127.0.0.1:9/' };
        const { subscription } = await place.subscribe({ pushConfig });
        assert.deepEqual(await place.pullNow(subscription), []);
      },
    },
  },
  {
    name: 'refuses the token of authenticated pushes, which only Google can sign',
    source: sources.pushAuth,
    refuses: 'a push subscription with a token (oidc_token): only Google can sign one',
    async run(place) {
      const oidcToken = { serviceAccountEmail: 'push@example.com' };
      const pushConfig = { pushEndpoint: 'http://127.0.0.1:9/', oidcToken };
      await refuses(place.subscribe({ pushConfig }), 'UNIMPLEMENTED', /^oidcToken of a PushConfig/);
    },
    google: {
      does: 'stores it, and pushes without a token',
      run: (place) =>
        withEndpoint([204], async (endpoint) => {
          const oidcToken = { serviceAccountEmail: 'push@example.com' };
          const { topic } = await place.subscribe(to(endpoint, { oidcToken }));
          await place.publish(topic, 'x');
          const [pushed] = await endpoint.take(1);
          assert.equal(pushed?.headers.authorization, undefined);
        }),
    },
  },
];

const bodies: Check[] = [
  {
    name: 'posts a message wrapped in JSON, with its id, time, attributes and subscription',
    source: sources.push,
    run: (place) =>
      withEndpoint([204], async (endpoint) => {
        const { topic, subscription } = await place.subscribe(to(endpoint));
        const [id] = await place.publish(topic, full);
        const [pushed] = await endpoint.take(1);
        const { message, ...body } = JSON.parse(pushed?.body ?? '');
        assert.equal(body.subscription, subscription);
        assert.deepEqual([message.data, message.attributes], ['SGVsbG8=', { kind: 'test' }]);
        assert.deepEqual([message.messageId, message.message_id], [id, id]);
        assert.ok(Math.abs(Date.parse(message.publishTime) - Date.now()) < 60_000);
        assert.equal(message.publish_time, message.publishTime);
      }),
  },
  {
    name: 'posts the ordering key',
    source: sources.push,
    run: (place) => postsOrderingKey(place, 'key'),
    google: { does: 'leaves it out', run: (place) => postsOrderingKey(place, undefined) },
  },
  {
    name: 'posts the delivery attempt under a dead-letter policy',
    source: sources.push,
    run: (place) => postsAttempts(place, [1, 2]),
    google: { does: 'leaves it out', run: (place) => postsAttempts(place, [undefined, undefined]) },
  },
  {
    name: 'posts the data alone without the wrapper, and metadata as headers when asked',
    source: sources.unwrapping,
    run: (place) =>
      withEndpoint([204], async (endpoint) => {
        const noWrapper = { writeMetadata: true };
        const { topic, subscription } = await place.subscribe(to(endpoint, { noWrapper }));
        const [id] = await place.publish(topic, full);
        const [pushed] = await endpoint.take(1);
        assert.equal(pushed?.body, 'Hello');
        assert.equal(pushed?.headers['x-goog-pubsub-message-id'], id);
        assert.equal(pushed?.headers['x-goog-pubsub-subscription-name'], subscription);
        assert.equal(pushed?.headers.kind, 'test');
      }),
  },
];

async function postsOrderingKey(place: Place, wanted: string | undefined): Promise<void> {
  await withEndpoint([204], async (endpoint) => {
    const { topic } = await place.subscribe({ ...to(endpoint), enableMessageOrdering: true });
    await place.publish(topic, full);
    const [pushed] = await endpoint.take(1);
    assert.equal(JSON.parse(pushed?.body ?? '').message.orderingKey, wanted);
  });
}

async function postsAttempts(place: Place, wanted: (number | undefined)[]): Promise<void> {
  await withEndpoint([500, 204], async (endpoint) => {
    const deadLetterTopic = await place.createTopic('dead');
    const { topic } = await place.subscribe({ ...to(endpoint), deadLetterPolicy: { deadLetterTopic } });
    await place.publish(topic, 'x');
    const pushed = await endpoint.take(2);
    assert.deepEqual(
      pushed.map(({ body }) => JSON.parse(body).deliveryAttempt),
      wanted,
    );
  });
}

export const push: Feature = {
  title: 'push subscriptions',
  checks: [
    ...bodies,
    ...statuses,
    {
      name: 'pushes again when the ack deadline passed without an answer',
      source: sources.push,
      run: (place) =>
        withEndpoint([0, 204], async (endpoint) => {
          const { topic } = await place.subscribe(to(endpoint));
          await place.publish(topic, 'x');
          await endpoint.take(2);
        }),
    },
    {
      name: 'forwards to the dead-letter topic what the endpoint never takes',
      source: sources.deadLetter,
      run: (place) =>
        withEndpoint([500], async (endpoint) => {
          const deadLetterTopic = await place.createTopic('dead');
          const dead = await place.createSubscription(deadLetterTopic, 'dead');
          const { topic } = await place.subscribe({ ...to(endpoint), deadLetterPolicy: { deadLetterTopic } });
          await place.publish(topic, 'x');
          assert.deepEqual(textsOf(await place.pull(dead)), ['x']);
          assert.equal(endpoint.pushed.length, 5);
        }),
    },
    {
      name: 'stops pushing when ModifyPushConfig makes it a pull subscription',
      source: sources.push,
      run: (place) =>
        withEndpoint([500], async (endpoint) => {
          const { topic, subscription } = await place.subscribe(to(endpoint));
          await place.publish(topic, 'x');
          await endpoint.take(1);
          await place.subscriber.modifyPushConfig({ subscription, pushConfig: {} });
          assert.deepEqual(textsOf(await place.pull(subscription)), ['x']);
        }),
    },
    ...configs,
    ...versions,
  ],
};
