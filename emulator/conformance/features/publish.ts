import assert from 'node:assert/strict';
import type { Feature } from '../check.ts';
import { idsOf, missing, publishTimeOf, refuses, textsOf } from '../expect.ts';
import { sources } from '../sources.ts';

export const publish: Feature = {
  title: 'Publish',
  checks: [
    {
      name: 'answers with an id for each message, in their order',
      source: sources.publish,
      async run(place) {
        const { topic, subscription } = await place.subscribe();
        const ids = await place.publish(topic, 'a', 'b', 'c');
        assert.equal(new Set(ids).size, 3);
        const received = await place.pullCount(subscription, 3);
        const byId = new Map(received.map((one) => [one.message?.messageId ?? '', one]));
        assert.deepEqual(textsOf(ids.map((id) => byId.get(id) ?? {})), ['a', 'b', 'c']);
      },
    },
    {
      name: 'keeps data, attributes and ordering key as they came',
      source: sources.message,
      async run(place) {
        const { topic, subscription } = await place.subscribe();
        const data = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
        const attributes = { kind: 'test', grüße: '✓ 漢字', empty: '' };
        await place.publish(topic, { data, attributes, orderingKey: 'key' });
        const [received] = await place.pull(subscription);
        assert.deepEqual(Buffer.from(received?.message?.data ?? ''), data);
        assert.deepEqual({ ...received?.message?.attributes }, attributes);
        assert.equal(received?.message?.orderingKey, 'key');
      },
    },
    {
      name: 'takes a message with attributes alone',
      source: sources.message,
      async run(place) {
        const { topic, subscription } = await place.subscribe();
        await place.publish(topic, { attributes: { kind: '' } });
        const [received] = await place.pull(subscription);
        assert.deepEqual({ ...received?.message?.attributes }, { kind: '' });
      },
    },
    {
      name: 'sets message_id and publish_time itself',
      source: sources.message,
      async run(place) {
        const { topic, subscription } = await place.subscribe();
        const message = { data: Buffer.from('x'), messageId: 'mine', publishTime: { seconds: 1 } };
        const ids = await place.publish(topic, message);
        const received = await place.pull(subscription);
        assert.deepEqual(idsOf(received), ids);
        assert.notDeepEqual(ids, ['mine']);
        for (const one of received) assert.ok(Math.abs(publishTimeOf(one) - Date.now()) < 60_000);
      },
    },
    {
      name: 'gives each subscription a copy with the same id',
      source: sources.publish,
      async run(place) {
        const { topic, subscription } = await place.subscribe();
        const other = await place.createSubscription(topic, 'other');
        const ids = await place.publish(topic, 'x');
        const first = await place.pull(subscription);
        await place.ack(subscription, ...first);
        assert.deepEqual([idsOf(first), idsOf(await place.pull(other))], [ids, ids]);
      },
    },
    {
      name: 'does not deliver what was published before the subscription was created',
      source: sources.admin,
      async run(place) {
        const topic = await place.createTopic();
        await place.publish(topic, 'before');
        const subscription = await place.createSubscription(topic);
        await place.publish(topic, 'after');
        assert.deepEqual(textsOf(await place.pull(subscription)), ['after']);
        assert.deepEqual(await place.pullNow(subscription), []);
      },
    },
    {
      name: 'refuses a message without data and attributes, and all that came with it',
      source: sources.message,
      async run(place) {
        const { topic, subscription } = await place.subscribe();
        for (const message of [{}, { orderingKey: 'key' }]) {
          const answer = place.publish(topic, 'good', message);
          await refuses(answer, 'INVALID_ARGUMENT', 'Some messages are empty');
        }
        assert.deepEqual(await place.pullNow(subscription), []);
      },
    },
    {
      name: 'looks for the topic before it looks at the messages',
      source: sources.errors,
      async run(place) {
        const topic = place.topicName('none');
        await refuses(place.publish(topic, {}), 'NOT_FOUND', missing);
        await refuses(place.publish(topic), 'NOT_FOUND', missing);
      },
    },
    {
      name: 'refuses a request without messages',
      source: sources.publish,
      async run(place) {
        const topic = await place.createTopic();
        await refuses(place.publish(topic), 'INVALID_ARGUMENT', 'No messages to publish');
      },
    },
  ],
};
