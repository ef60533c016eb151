import assert from 'node:assert/strict';
import type { Check, Feature } from '../check.ts';
import { allRefuse, missing, refuses } from '../expect.ts';
import type { Place } from '../place.ts';
import { sources } from '../sources.ts';

const ids = ['e-one', 'c-two', 'a-three', 'd-four', 'b-five'];
const sorted = [...ids].sort();

interface Page {
  names: string[];
  nextPageToken: string;
}

interface List {
  what: string;
  arrange(place: Place): Promise<unknown>;
  page(place: Place, request: { pageSize?: number; pageToken?: string }): Promise<Page>;
  nameOf(place: Place, id: string): string;
}

const namesOf = (resources: { name?: string | null }[]) => resources.map(({ name }) => name ?? '');

async function subscribeMany(place: Place): Promise<void> {
  const topic = await place.createTopic();
  for (const id of ids) await place.createSubscription(topic, id);
}

async function snapshotMany(place: Place): Promise<void> {
  const { subscription } = await place.subscribe();
  for (const id of ids) await place.subscriber.createSnapshot({ name: place.snapshotName(id), subscription });
}

const lists: List[] = [
  {
    what: 'topics',
    arrange: (place) => Promise.all(ids.map((id) => place.createTopic(id))),
    async page({ publisher, project }, request) {
      const { topics, nextPageToken } = await publisher.listTopics({ project, ...request });
      return { names: namesOf(topics), nextPageToken };
    },
    nameOf: (place, id) => place.topicName(id),
  },
  {
    what: 'subscriptions',
    arrange: subscribeMany,
    async page({ subscriber, project }, request) {
      const { subscriptions, nextPageToken } = await subscriber.listSubscriptions({ project, ...request });
      return { names: namesOf(subscriptions), nextPageToken };
    },
    nameOf: (place, id) => place.subscriptionName(id),
  },
  {
    what: 'the subscriptions of a topic',
    arrange: subscribeMany,
    async page(place, request) {
      const topic = place.topicName();
      const { subscriptions, nextPageToken } = await place.publisher.listTopicSubscriptions({
        topic,
        ...request,
      });
      return { names: subscriptions, nextPageToken };
    },
    nameOf: (place, id) => place.subscriptionName(id),
  },
  {
    what: 'snapshots',
    arrange: snapshotMany,
    async page({ subscriber, project }, request) {
      const { snapshots, nextPageToken } = await subscriber.listSnapshots({ project, ...request });
      return { names: namesOf(snapshots), nextPageToken };
    },
    nameOf: (place, id) => place.snapshotName(id),
  },
  {
    what: 'the snapshots of a topic',
    arrange: snapshotMany,
    async page(place, request) {
      const topic = place.topicName();
      const { snapshots, nextPageToken } = await place.publisher.listTopicSnapshots({ topic, ...request });
      return { names: snapshots, nextPageToken };
    },
    nameOf: (place, id) => place.snapshotName(id),
  },
];

function checksOf(list: List): Check[] {
  const names = (place: Place) => sorted.map((id) => list.nameOf(place, id));
  return [
    {
      name: `lists ${list.what} by name, in pages that their tokens continue`,
      source: sources.lists,
      async run(place) {
        await list.arrange(place);
        assert.deepEqual(await list.page(place, {}), { names: names(place), nextPageToken: '' });
        const pages: string[][] = [];
        for (let pageToken = ''; pages.length === 0 || pageToken; ) {
          const page = await list.page(place, { pageSize: 2, pageToken });
          pages.push(page.names);
          pageToken = page.nextPageToken;
        }
        assert.deepEqual(pages.flat(), names(place));
        assert.deepEqual(
          pages.map(({ length }) => length),
          [2, 2, 1],
        );
      },
    },
    {
      name: `refuses a page token that is none, of ${list.what}`,
      source: sources.lists,
      async run(place) {
        await list.arrange(place);
        const answer = list.page(place, { pageToken: 'nonsense' });
        await refuses(answer, 'INVALID_ARGUMENT', 'Invalid page_token: nonsense');
      },
      google: {
        does: 'starts at the first page again',
        async run(place) {
          await list.arrange(place);
          const page = await list.page(place, { pageToken: 'nonsense' });
          assert.deepEqual(page.names, names(place));
        },
      },
    },
  ];
}

export const listing: Feature = {
  title: 'lists with page tokens',
  checks: [
    ...lists.flatMap(checksOf),
    {
      name: 'lists nothing in a project that has nothing',
      source: sources.lists,
      async run(place) {
        for (const list of [lists[0], lists[1], lists[3]]) {
          assert.deepEqual(await list?.page(place, {}), { names: [], nextPageToken: '' });
        }
      },
    },
    {
      name: 'lists no schemas in a project that has none',
      source: sources.schemas,
      async run({ client, project }) {
        const { schemas, nextPageToken } = await client.schemas().listSchemas({ parent: project });
        assert.deepEqual([schemas, nextPageToken], [[], '']);
      },
    },
    {
      name: 'refuses to list a project by a malformed name',
      source: sources.lists,
      async run({ client, publisher, subscriber }) {
        const project = 'nonsense';
        await allRefuse(
          [
            publisher.listTopics({ project }),
            subscriber.listSubscriptions({ project }),
            subscriber.listSnapshots({ project }),
            client.schemas().listSchemas({ parent: project }),
          ],
          'INVALID_ARGUMENT',
          'Invalid [projects] name: (name=nonsense)',
        );
      },
      google: {
        does: 'throws: UNKNOWN',
        async run({ publisher }) {
          await refuses(
            publisher.listTopics({ project: 'nonsense' }),
            'UNKNOWN',
            'Application error processing RPC',
          );
        },
      },
    },
    {
      name: 'says NOT_FOUND to the lists of a missing topic',
      source: sources.errors,
      async run({ publisher, project }) {
        const topic = `${project}/topics/none`;
        await refuses(publisher.listTopicSubscriptions({ topic }), 'NOT_FOUND', missing);
        await refuses(publisher.listTopicSnapshots({ topic }), 'NOT_FOUND', missing);
      },
      google: {
        does: 'gives an empty list',
        async run(place) {
          const topic = place.topicName('none');
          const { subscriptions } = await place.publisher.listTopicSubscriptions({ topic });
          const { snapshots } = await place.publisher.listTopicSnapshots({ topic });
          assert.deepEqual([subscriptions, snapshots], [[], []]);
        },
      },
    },
  ],
};
