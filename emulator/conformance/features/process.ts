import assert from 'node:assert/strict';
import type { Feature } from '../check.ts';
import { endsWith, refuses } from '../expect.ts';
import type { Place } from '../place.ts';
import { sources } from '../sources.ts';

const megabyte = Buffer.alloc(1_000_000, 'x');

/** Ends an emulator that has an open stream. @returns how both ended. */
async function stopWithStream(place: Place) {
  const server = await place.start();
  const there = place.at(server.host);
  try {
    const { topic, subscription } = await there.subscribe();
    await there.publish(topic, 'x');
    const stream = there.stream(subscription);
    await stream.take(1);
    await server.stop();
    return { exitCode: await server.exited(), error: await stream.ended };
  } finally {
    there.close();
  }
}

const portOf = ({ host }: { host: string }) => Number(host.slice(host.lastIndexOf(':') + 1));

export const processes: Feature = {
  title: 'the process: declarations, one project, a full folder, SIGTERM, a taken port',
  checks: [
    {
      name: 'has what is declared before the first call',
      source: sources.readme,
      starts: true,
      async run(place) {
        const declarations = {
          topics: [{ name: place.topicName() }],
          subscriptions: [
            { name: place.subscriptionName(), topic: place.topicName(), ackDeadlineSeconds: 77 },
          ],
        };
        const server = await place.start({ flags: [`--declare=${JSON.stringify(declarations)}`] });
        const there = place.at(server.host);
        const subscription = there.subscriptionName();
        assert.equal((await there.subscriber.getSubscription({ subscription })).ackDeadlineSeconds, 77);
        there.close();
      },
      google: {
        does: 'starts empty',
        async run(place) {
          const there = place.at((await place.start()).host);
          const { project } = there;
          assert.deepEqual((await there.publisher.listTopics({ project })).topics, []);
          there.close();
        },
      },
    },
    {
      name: 'refuses other projects than the one it serves',
      source: sources.readme,
      starts: true,
      async run(place) {
        const there = place.at((await place.start({ project: 'only' })).host);
        await there.publisher.createTopic({ name: 'projects/only/topics/topic' });
        const other = place.project.slice('projects/'.length);
        const text = `Invalid (project=${other}) out of valid projects [only].`;
        await refuses(there.createTopic(), 'NOT_FOUND', text);
        there.close();
      },
    },
    {
      name: 'refuses publishes with RESOURCE_EXHAUSTED when its folder is full, loses nothing, and recovers',
      source: sources.readme,
      starts: true,
      async run(place) {
        const there = place.at((await place.start({ flags: ['--data-bytes-max=40000000'] })).host);
        const { topic, subscription } = await there.subscribe();
        const publishMany = async (count: number) => {
          for (let number = 0; number < count; number++) await there.publish(topic, { data: megabyte });
        };
        await publishMany(30);
        await refuses(publishMany(20), 'RESOURCE_EXHAUSTED', /40000000 bytes/);
        for (let pulled = await there.pullNow(subscription); pulled.length > 0; ) {
          await there.ack(subscription, ...pulled);
          pulled = await there.pullNow(subscription);
        }
        const isTaken = () =>
          there.publish(topic, 'again').then(
            () => true,
            () => false,
          );
        while (!(await isTaken())) await new Promise((resolve) => setTimeout(resolve, 100));
        there.close();
      },
      google: {
        does: 'has no limit: it keeps all in memory',
        async run(place) {
          const topic = await place.createTopic();
          for (let number = 0; number < 50; number++) await place.publish(topic, { data: megabyte });
        },
      },
    },
    {
      name: 'ends streams with UNAVAILABLE on SIGTERM, which clients try again, and exits with 0',
      source: sources.readme,
      starts: true,
      async run(place) {
        const { exitCode, error } = await stopWithStream(place);
        assert.equal(exitCode, 0);
        endsWith(error, 'UNAVAILABLE', 'The emulator is shutting down.');
      },
      google: {
        does: 'cuts the connections, and exits with 143',
        async run(place) {
          const { exitCode, error } = await stopWithStream(place);
          assert.equal(exitCode, 143);
          endsWith(error, 'UNAVAILABLE', /./);
        },
      },
    },
    {
      name: 'names a port that is taken, and exits with 1',
      source: sources.readme,
      starts: true,
      async run(place) {
        const taken = await place.start();
        const other = await place.start({ port: portOf(taken), ready: /is taken by another process/ });
        assert.equal(await other.exited(), 1);
      },
      google: {
        does: 'runs on, and serves nothing',
        async run(place) {
          const taken = await place.start();
          const other = await place.start({ port: portOf(taken), ready: /BindException/ });
          const hasExited = await Promise.race([
            other.exited().then(() => true),
            new Promise((resolve) => setTimeout(() => resolve(false), 2_000)),
          ]);
          assert.equal(hasExited, false);
        },
      },
    },
  ],
};
