import assert from 'node:assert/strict';
import type { Check, Feature } from '../check.ts';
import { refuses } from '../expect.ts';
import type { Place } from '../place.ts';
import { sources } from '../sources.ts';

/** Paths of its own, which say what the emulator holds and whether it is there. */
const paths: [path: string, status: number, text: RegExp][] = [
  ['healthz', 200, /^ok\n$/],
  ['readyz', 200, /^ready\n$/],
  ['metrics', 200, /^# TYPE pubsub_emulator_unacked_messages gauge$/m],
  ['_emulator/backlog', 200, /"storedBytes": \d+/],
];

const answers = paths.map(
  ([path, status, text]): Check => ({
    name: `answers GET /${path}`,
    source: sources.readme,
    async run(place) {
      const answer = await place.client.http(`GET ${path}`);
      assert.equal(answer.status, status);
      assert.match(answer.text, text);
    },
    google: {
      does: 'has none',
      async run(place) {
        assert.equal((await place.client.http(`GET ${path}`)).status, 404);
      },
    },
  }),
);

const healthPath = '/grpc.health.v1.Health/Check';
/** HealthCheckRequest with a service. */
const serviceRequest = (service: string) => Buffer.from([10, service.length, ...Buffer.from(service)]);

const hasNoPath = (line: string) => ({
  does: 'has none',
  async run({ client }: Place) {
    assert.equal((await client.http(line, [])).status, 404);
  },
});

/** Runs on an emulator of its own, which has the endpoints for tests. */
async function withTestEndpoints(place: Place, run: (there: Place) => Promise<void>): Promise<void> {
  const there = place.at((await place.start({ flags: ['--test-endpoints'] })).host);
  try {
    await run(there);
  } finally {
    there.close();
  }
}

const forTests: Check[] = [
  {
    name: 'deletes everything at POST /_emulator/reset, where that was enabled',
    source: sources.readme,
    starts: true,
    async run(place) {
      assert.equal((await place.client.http('POST _emulator/reset')).status, 403);
      await withTestEndpoints(place, async (there) => {
        await there.createTopic();
        assert.equal((await there.client.http('POST _emulator/reset')).status, 200);
        const { project } = there;
        assert.deepEqual((await there.publisher.listTopics({ project })).topics, []);
      });
    },
    google: hasNoPath('POST _emulator/reset'),
  },
  {
    name: 'injects the errors that are asked for at PUT /_emulator/faults, where that was enabled',
    source: sources.readme,
    starts: true,
    async run(place) {
      assert.equal((await place.client.http('PUT _emulator/faults', [])).status, 403);
      await withTestEndpoints(place, async (there) => {
        const topic = await there.createTopic();
        const fault = { method: 'Publish', code: 'UNAVAILABLE', message: 'not now', count: 1 };
        assert.equal((await there.client.http('PUT _emulator/faults', [fault])).status, 200);
        await refuses(there.publish(topic, 'x'), 'UNAVAILABLE', 'not now');
        assert.equal((await there.publish(topic, 'x')).length, 1);
      });
    },
    google: hasNoPath('PUT _emulator/faults'),
  },
];

export const health: Feature = {
  title: 'health, metrics, backlog, faults; unknown calls',
  checks: [
    {
      name: 'answers GET / with Ok',
      source: sources.readme,
      async run(place) {
        const { status, text } = await place.client.http('GET ');
        assert.deepEqual([status, text], [200, 'Ok\n']);
      },
    },
    ...answers,
    {
      name: 'tells its health over gRPC',
      source: sources.health,
      async run({ client }) {
        const serving = Buffer.from([8, 1]);
        assert.deepEqual(await client.call(healthPath, Buffer.alloc(0)), serving);
        const publisher = serviceRequest('google.pubsub.v1.Publisher');
        assert.deepEqual(await client.call(healthPath, publisher), serving);
        await refuses(client.call(healthPath, serviceRequest('none')), 'NOT_FOUND', 'unknown service');
      },
      google: {
        does: 'has none',
        async run({ client }) {
          const text = 'Method not found: grpc.health.v1.Health/Check';
          await refuses(client.call(healthPath, Buffer.alloc(0)), 'UNIMPLEMENTED', text);
        },
      },
    },
    {
      name: 'tells the backlog of a subscription, and the age of its oldest unacked message',
      source: sources.readme,
      async run(place) {
        const { topic, subscription } = await place.subscribe();
        await place.publish(topic, 'a', 'b', 'c');
        await place.pull(subscription, 1);
        const { json } = await place.client.http('GET _emulator/backlog');
        const all = json.subscriptions as { subscription: string; [figure: string]: unknown }[];
        const backlog = all.find((one) => one.subscription === subscription);
        assert.deepEqual([backlog?.unackedCount, backlog?.outstandingCount], [3, 1]);
        assert.equal(typeof backlog?.oldestUnackedSeconds, 'number');
        const { text } = await place.client.http('GET metrics');
        const line = `pubsub_emulator_unacked_messages{subscription="${subscription}"} 3`;
        assert.ok(text.includes(line));
      },
      google: {
        does: 'has none',
        async run(place) {
          assert.equal((await place.client.http('GET _emulator/backlog')).status, 404);
        },
      },
    },
    ...forTests,
    {
      name: 'says UNIMPLEMENTED to a method that is none',
      source: sources.statuses,
      async run({ client }) {
        const answer = client.call('/google.pubsub.v1.Publisher/Nonsense', Buffer.alloc(0));
        await refuses(answer, 'UNIMPLEMENTED', /google\.pubsub\.v1\.Publisher\/Nonsense/);
      },
    },
    {
      name: 'says INVALID_ARGUMENT to a request that cannot be decoded',
      source: sources.statuses,
      async run({ client }) {
        const answer = client.call('/google.pubsub.v1.Publisher/GetTopic', Buffer.from([10, 80, 97]));
        await refuses(answer, 'INVALID_ARGUMENT', /cannot be decoded/);
      },
      google: {
        does: 'throws: UNKNOWN',
        async run({ client }) {
          const answer = client.call('/google.pubsub.v1.Publisher/GetTopic', Buffer.from([10, 80, 97]));
          await refuses(answer, 'UNKNOWN', 'Application error processing RPC');
        },
      },
    },
  ],
};
