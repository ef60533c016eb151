import assert from 'node:assert/strict';
import type { Feature } from '../check.ts';
import { missing, refuses, textsOf } from '../expect.ts';
import type { Place } from '../place.ts';
import { sources } from '../sources.ts';

const notKnown = (path: string) =>
  `Invalid update_mask provided in the UpdateTopicRequest: ${path} is not a known Topic field. Note that field paths must be of the form 'schema_settings' rather than 'schemaSetings'.`;

function update(place: Place, topic: object, paths: string[]) {
  return place.publisher.updateTopic({ topic: { name: place.topicName(), ...topic }, updateMask: { paths } });
}

async function retentionOf(place: Place): Promise<number | undefined> {
  const { messageRetentionDuration } = await place.publisher.getTopic({ topic: place.topicName() });
  return messageRetentionDuration ? Number(messageRetentionDuration.seconds) : undefined;
}

const deadLetterTo = (deadLetterTopic: string) => ({ deadLetterPolicy: { deadLetterTopic } });

const badIds = [
  'ab',
  '1abc',
  '-abc',
  '_abc',
  'goog-abc',
  'a b',
  'a/b',
  'abc!',
  'abc#',
  'abé',
  '',
  'a'.repeat(256),
];
const goodProjects = ['my-project-1', '123456789012', 'example.com:my-project', 'p', 'MY_PROJECT'];
const badProjects = ['a"b\nevil{}', 'a b', 'é', '-a', 'a'.repeat(64)];
const goodIds = ['abc', 'a.b_c~d+e%f', 'abc%20', 'a'.repeat(255)];

export const topics: Feature = {
  title: 'topics: create, get, update, delete',
  checks: [
    {
      name: 'creates a topic and gives it back as it was created',
      source: sources.admin,
      async run(place) {
        const name = await place.createTopic('topic', { labels: { team: 'shop' } });
        const { labels } = await place.publisher.getTopic({ topic: name });
        assert.deepEqual({ ...labels }, { team: 'shop' });
      },
    },
    {
      name: 'refuses to create a topic that exists',
      source: sources.publisher,
      async run(place) {
        await place.createTopic();
        await refuses(place.createTopic(), 'ALREADY_EXISTS', 'Topic already exists');
      },
    },
    {
      name: 'says NOT_FOUND to get, delete and publish to a missing topic',
      source: sources.errors,
      async run(place) {
        const topic = place.topicName('none');
        await refuses(place.publisher.getTopic({ topic }), 'NOT_FOUND', missing);
        await refuses(place.publisher.deleteTopic({ topic }), 'NOT_FOUND', missing);
        await refuses(place.publish(topic, 'x'), 'NOT_FOUND', missing);
      },
    },
    {
      name: 'names in the text of NOT_FOUND what is missing',
      source: sources.errors,
      async run(place) {
        const { publisher, subscriber } = place;
        const topic = await place.createTopic();
        const answers: [resource: string, answer: Promise<unknown>][] = [
          ['no-topic', publisher.getTopic({ topic: place.topicName('no-topic') })],
          ['no-topic', place.createSubscription(place.topicName('no-topic'))],
          ['no-dead', place.createSubscription(topic, 'dead', deadLetterTo(place.topicName('no-dead')))],
          ['no-one', subscriber.getSubscription({ subscription: place.subscriptionName('no-one') })],
          ['no-one', subscriber.pull({ subscription: place.subscriptionName('no-one'), maxMessages: 1 })],
          ['no-snap', subscriber.getSnapshot({ snapshot: place.snapshotName('no-snap') })],
        ];
        await Promise.all(
          answers.map(([resource, answer]) =>
            refuses(answer, 'NOT_FOUND', `Resource not found (resource=${resource}).`),
          ),
        );
      },
      google: {
        does: 'has other texts',
        follows: true,
        async run(place) {
          const topic = place.topicName('no-topic');
          await refuses(place.publisher.getTopic({ topic }), 'NOT_FOUND', 'Topic not found');
        },
      },
    },
    {
      name: 'refuses names that break the rules',
      source: sources.names,
      async run(place) {
        const names = [...badIds.map((id) => place.topicName(id)), 'foo', '', '_deleted-topic_'];
        for (const name of names) {
          const text = `Invalid [topics] name: (name=${name})`;
          await refuses(place.publisher.createTopic({ name }), 'INVALID_ARGUMENT', text);
        }
      },
    },
    {
      name: 'takes the ids and numbers of projects, and refuses what no project can be called',
      source: sources.projects,
      async run(place) {
        for (const id of goodProjects) {
          const name = `projects/${id}/topics/${place.project.split('/')[1]}`;
          assert.equal((await place.publisher.createTopic({ name })).name, name);
        }
        for (const id of badProjects) {
          const name = `projects/${id}/topics/topic`;
          const text = `Invalid [topics] name: (name=${name})`;
          await refuses(place.publisher.createTopic({ name }), 'INVALID_ARGUMENT', text);
        }
        const project = `projects/${badProjects[0]}`;
        const text = `Invalid [projects] name: (name=${project})`;
        await refuses(place.publisher.listTopics({ project }), 'INVALID_ARGUMENT', text);
      },
      google: {
        does: 'takes any text',
        async run(place) {
          for (const id of badProjects) {
            const name = `projects/${id}/topics/${place.project.split('/')[1]}`;
            assert.equal((await place.publisher.createTopic({ name })).name, name);
          }
        },
      },
    },
    {
      name: 'takes names of 3 to 255 characters with each sign that is allowed',
      source: sources.names,
      async run(place) {
        for (const id of goodIds) assert.equal(await place.createTopic(id), place.topicName(id));
      },
    },
    {
      name: 'deletes a topic: its subscriptions stay, and what they hold can be pulled',
      source: sources.publisher,
      async run(place) {
        const { topic, subscription } = await place.subscribe();
        await place.publish(topic, 'held');
        await place.publisher.deleteTopic({ topic });
        await refuses(place.publisher.getTopic({ topic }), 'NOT_FOUND', missing);
        const shown = await place.subscriber.getSubscription({ subscription });
        assert.equal(shown.topic, '_deleted-topic_');
        assert.deepEqual(textsOf(await place.pull(subscription)), ['held']);
      },
    },
    {
      name: 'does not attach the old subscriptions to a topic that is created again',
      source: sources.publisher,
      async run(place) {
        const { topic, subscription } = await place.subscribe();
        await place.publisher.deleteTopic({ topic });
        await place.createTopic();
        const fresh = await place.createSubscription(topic, 'fresh');
        await place.publish(topic, 'new');
        assert.deepEqual(textsOf(await place.pull(fresh)), ['new']);
        assert.deepEqual(await place.pullNow(subscription), []);
        const list = await place.publisher.listTopicSubscriptions({ topic });
        assert.deepEqual(list.subscriptions, [fresh]);
      },
    },
    {
      name: 'updates the labels',
      source: sources.updateTopic,
      async run(place) {
        await place.createTopic('topic', { labels: { team: 'shop' } });
        const updated = await update(place, { labels: { team: 'mail', kind: 'test' } }, ['labels']);
        assert.deepEqual({ ...updated.labels }, { team: 'mail', kind: 'test' });
      },
      google: {
        does: 'refuses: labels is not a known Topic field',
        async run(place) {
          await place.createTopic();
          await refuses(update(place, {}, ['labels']), 'INVALID_ARGUMENT', notKnown('labels'));
        },
      },
    },
    {
      name: 'updates the retention of messages',
      source: sources.updateTopic,
      async run(place) {
        await place.createTopic();
        await update(place, { messageRetentionDuration: { seconds: 700 } }, ['message_retention_duration']);
        assert.equal(await retentionOf(place), 700);
      },
    },
    {
      name: 'clears the retention of messages',
      source: sources.updateTopic,
      async run(place) {
        await place.createTopic('topic', { messageRetentionDuration: { seconds: 700 } });
        await update(place, {}, ['message_retention_duration']);
        assert.equal(await retentionOf(place), undefined);
      },
      google: {
        does: 'sets it to 31 days instead',
        async run(place) {
          await place.createTopic('topic', { messageRetentionDuration: { seconds: 700 } });
          await update(place, {}, ['message_retention_duration']);
          assert.equal(await retentionOf(place), 2_678_400);
        },
      },
    },
    {
      name: 'takes empty settings of what a topic does not have, also in an update',
      source: sources.updateTopic,
      async run(place) {
        const nothing = {
          messageStoragePolicy: { allowedPersistenceRegions: [] },
          kmsKeyName: '',
          labels: {},
        };
        await place.createTopic('topic', nothing);
        const updated = await update(place, { ...nothing, labels: { team: 'shop' } }, [
          'labels',
          'kms_key_name',
          'message_storage_policy.allowed_persistence_regions',
          'schema_settings',
        ]);
        assert.deepEqual({ ...updated.labels }, { team: 'shop' });
      },
      google: {
        does: 'refuses: message_storage_policy is not a known Topic field',
        async run(place) {
          await place.createTopic('topic', { messageStoragePolicy: {} });
          const path = 'message_storage_policy';
          await refuses(update(place, {}, [path]), 'INVALID_ARGUMENT', notKnown(path));
        },
      },
    },
    {
      name: 'refuses an update without a mask',
      source: sources.updateTopic,
      async run(place) {
        await place.createTopic();
        const text =
          'The update_mask in the UpdateTopicRequest must be set, and must contain a non-empty paths list.';
        await refuses(update(place, {}, []), 'INVALID_ARGUMENT', text);
      },
    },
    {
      name: 'refuses an update of a field that is none, and then changes nothing',
      source: sources.updateTopic,
      async run(place) {
        await place.createTopic('topic', { messageRetentionDuration: { seconds: 700 } });
        const paths = ['message_retention_duration', 'color'];
        const wanted = { messageRetentionDuration: { seconds: 800 } };
        await refuses(update(place, wanted, paths), 'INVALID_ARGUMENT', notKnown('color'));
        assert.equal(await retentionOf(place), 700);
      },
    },
    {
      name: 'refuses an update of a topic without a name, or with a malformed one',
      source: sources.names,
      async run({ publisher }) {
        for (const name of ['', 'nonsense', 'projects/project/topics/ab']) {
          const answer = publisher.updateTopic({ topic: { name }, updateMask: { paths: ['labels'] } });
          await refuses(answer, 'INVALID_ARGUMENT', `Invalid [topics] name: (name=${name})`);
        }
      },
    },
    {
      name: 'refuses an update of a missing topic',
      source: sources.updateTopic,
      async run(place) {
        const wanted = { messageRetentionDuration: { seconds: 700 } };
        await refuses(update(place, wanted, ['message_retention_duration']), 'NOT_FOUND', missing);
      },
    },
  ],
};
