import assert from 'node:assert/strict';
import type { Feature } from '../check.ts';
import { allRefuse, missing, refuses, textsOf } from '../expect.ts';
import type { Place } from '../place.ts';
import { sources } from '../sources.ts';

const daySeconds = 86_400;

function create(place: Place, more: object = {}) {
  const request = { name: place.snapshotName(), subscription: place.subscriptionName(), ...more };
  return place.subscriber.createSnapshot(request);
}

export const snapshots: Feature = {
  title: 'snapshots',
  checks: [
    {
      name: 'creates a snapshot that expires in seven days, and gives it back',
      source: sources.snapshot,
      async run(place) {
        const { topic } = await place.subscribe();
        await create(place);
        const shown = await place.subscriber.getSnapshot({ snapshot: place.snapshotName() });
        assert.deepEqual([shown.name, shown.topic], [place.snapshotName(), topic]);
        const seconds = Number(shown.expireTime?.seconds) - Date.now() / 1_000;
        assert.ok(Math.abs(seconds - 7 * daySeconds) < 60, `${seconds}`);
      },
    },
    {
      name: 'keeps the labels of a snapshot',
      source: sources.createSnapshot,
      async run(place) {
        await place.subscribe();
        await create(place, { labels: { team: 'shop' } });
        const { labels } = await place.subscriber.getSnapshot({ snapshot: place.snapshotName() });
        assert.deepEqual({ ...labels }, { team: 'shop' });
      },
      google: {
        does: 'drops them',
        async run(place) {
          await place.subscribe();
          await create(place, { labels: { team: 'shop' } });
          const { labels } = await place.subscriber.getSnapshot({ snapshot: place.snapshotName() });
          assert.deepEqual({ ...labels }, {});
        },
      },
    },
    {
      name: 'updates the labels and the expiration of a snapshot',
      source: sources.snapshot,
      async run(place) {
        await place.subscribe();
        await create(place);
        const seconds = Math.floor(Date.now() / 1_000) + daySeconds;
        const snapshot = {
          name: place.snapshotName(),
          labels: { team: 'mail' },
          expireTime: { seconds, nanos: 123_456_789 },
        };
        const updateMask = { paths: ['labels', 'expire_time'] };
        const updated = await place.subscriber.updateSnapshot({ snapshot, updateMask });
        assert.deepEqual({ ...updated.labels }, { team: 'mail' });
        const { expireTime } = await place.subscriber.getSnapshot({ snapshot: snapshot.name });
        assert.deepEqual([Number(expireTime?.seconds), expireTime?.nanos], [seconds, 123_456_789]);
      },
      google: {
        does: 'has no UpdateSnapshot',
        async run({ subscriber }) {
          await refuses(
            subscriber.updateSnapshot({}),
            'UNIMPLEMENTED',
            'Method google.pubsub.v1.Subscriber/UpdateSnapshot is unimplemented',
          );
        },
      },
    },
    {
      name: 'gives a snapshot without a name a random one',
      source: sources.createSnapshot,
      async run(place) {
        await place.subscribe();
        const { name } = await create(place, { name: '' });
        assert.match(name, new RegExp(`^${place.project}/snapshots/[a-z][a-z0-9-]{8,}$`));
        assert.equal((await place.subscriber.getSnapshot({ snapshot: name })).name, name);
      },
      google: {
        does: 'refuses the empty name',
        async run(place) {
          await place.subscribe();
          await refuses(create(place, { name: '' }), 'INVALID_ARGUMENT', 'Invalid [snapshots] name: (name=)');
        },
      },
    },
    {
      name: 'refuses a snapshot that exists, and one of a missing subscription',
      source: sources.errors,
      async run(place) {
        await place.subscribe();
        await create(place);
        await refuses(create(place), 'ALREADY_EXISTS', 'Snapshot already exists');
        const other = { name: place.snapshotName('other'), subscription: place.subscriptionName('none') };
        await refuses(create(place, other), 'NOT_FOUND', missing);
        const named = { name: place.snapshotName('ab') };
        const text = `Invalid [snapshots] name: (name=${named.name})`;
        await refuses(create(place, named), 'INVALID_ARGUMENT', text);
      },
    },
    {
      name: 'deletes a snapshot, and says NOT_FOUND of it from then on',
      source: sources.errors,
      async run(place) {
        const { subscription } = await place.subscribe();
        const snapshot = place.snapshotName();
        await create(place);
        await place.subscriber.deleteSnapshot({ snapshot });
        await allRefuse(
          [
            place.subscriber.getSnapshot({ snapshot }),
            place.subscriber.deleteSnapshot({ snapshot }),
            place.subscriber.seek({ subscription, snapshot }),
          ],
          'NOT_FOUND',
          missing,
        );
      },
    },
    {
      name: 'redelivers after a seek what was unacked at the snapshot, and all published since',
      source: sources.snapshots,
      async run(place) {
        const { topic, subscription } = await place.subscribe();
        await place.publish(topic, 'acked');
        await place.ack(subscription, ...(await place.pull(subscription)));
        await place.publish(topic, 'outstanding', 'unacked');
        await place.pull(subscription, 1);
        await create(place);
        await place.publish(topic, 'since');
        const rest = await place.pullCount(subscription, 2);
        await place.ack(subscription, ...rest);
        await place.subscriber.seek({ subscription, snapshot: place.snapshotName() });
        const again = await place.pullCount(subscription, 3);
        assert.deepEqual(textsOf(again).sort(), ['outstanding', 'since', 'unacked']);
        assert.deepEqual(await place.pullNow(subscription), []);
      },
    },
    {
      name: 'seeks another subscription of the topic to a snapshot',
      source: sources.snapshots,
      async run(place) {
        const { topic } = await place.subscribe();
        const other = await place.createSubscription(topic, 'other');
        await create(place);
        await place.publish(topic, 'x');
        await place.ack(other, ...(await place.pull(other)));
        await place.subscriber.seek({ subscription: other, snapshot: place.snapshotName() });
        assert.deepEqual(textsOf(await place.pull(other)), ['x']);
      },
    },
    {
      name: 'refuses a seek to a snapshot of another topic',
      source: sources.snapshots,
      async run(place) {
        const { topic } = await place.subscribe();
        await create(place);
        const otherTopic = await place.createTopic('other');
        const subscription = await place.createSubscription(otherTopic, 'other');
        await refuses(
          place.subscriber.seek({ subscription, snapshot: place.snapshotName() }),
          'FAILED_PRECONDITION',
          `The subscription's topic ${otherTopic} is different from that of the snapshot ${topic}; they must match in order for Seek work. Note that if a topic is deleted and then re-created with the same name, it is considered a distinct topic for these purposes.`,
        );
      },
    },
    {
      name: 'keeps a snapshot when its topic is deleted',
      source: sources.snapshot,
      async run(place) {
        const { topic } = await place.subscribe();
        await create(place);
        await place.publisher.deleteTopic({ topic });
        const { name } = await place.subscriber.getSnapshot({ snapshot: place.snapshotName() });
        assert.equal(name, place.snapshotName());
      },
    },
  ],
};
