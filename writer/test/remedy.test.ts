/** What waits for a remedy is bounded, good writes go on meanwhile, and the remedy settles all of it. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { createRecord, createWrites, encodeEnvelope, type Write } from '@assessment/api/envelope';
import { sharedVariables } from '@assessment/api/environment';
import { createMongoClient, openDatabase } from '@assessment/api/mongo';
import { names } from '@assessment/api/names';
import { createPubSub } from '@assessment/api/pubsub';
import { backlogCount } from '../../stress-test/backlog.ts';
import { readMetric } from '../../stress-test/metric.ts';
import {
  type Broker,
  declarations,
  startEmulator,
  startGoogleEmulator,
  startMongoDb,
  startWriter,
} from '../../test/parts.ts';
import { needs } from '../../test/programs.ts';
import { until } from '../../test/until.ts';

const projectId = sharedVariables.PUBSUB_PROJECT_ID.parse(undefined);

async function setUp(context: TestContext, broker: Broker, env: Record<string, string> = {}) {
  const mongoDb = await startMongoDb();
  const client = createMongoClient(mongoDb.uri, { appName: 'test', poolSizeMax: 4 });
  const database = openDatabase(client, mongoDb.uri);
  const records = await database.createCollection<Write>(names.collection);
  process.env.PUBSUB_EMULATOR_HOST = broker.host;
  const pubsub = createPubSub({ PUBSUB_PROJECT_ID: projectId, PUBSUB_EMULATOR_HOST: broker.host });
  const writer = await startWriter({ mongoDb, broker, env });
  context.after(async () => {
    await pubsub.close();
    await client.close();
    await writer.stop();
    await Promise.all([broker.stop(), mongoDb.stop()]);
  });
  const topic = pubsub.topic(names.topic);
  return {
    database,
    records,
    pubsub,
    writer,
    publish: (data: Buffer[]) => Promise.all(data.map((one) => topic.publishMessage({ data: one }))),
    publishEach: (writes: Write[]) =>
      Promise.all(writes.map((write) => topic.publishMessage({ data: encodeEnvelope([write]) }))),
    metric: (name: string) => readMetric(writer.url, name),
    async settledCount(outcome: string): Promise<number> {
      const text = await (await fetch(`${writer.url}/metrics?name=writer_envelopes_total`)).text();
      return Number(new RegExp(`{outcome="${outcome}"} (\\d+)`).exec(text)?.[1]);
    },
    untilStored: (writes: Write[]) =>
      until(
        () => records.countDocuments({ _id: { $in: writes.map(({ _id }) => _id) } }),
        (count) => count === writes.length,
      ),
  };
}

async function resource(host: string, method: 'PUT' | 'DELETE', { name, ...rest }: { name: string }) {
  const response = await fetch(`http://${host}/v1/${name}`, {
    method,
    headers: { 'content-type': 'application/json' },
    ...(method === 'PUT' && { body: JSON.stringify({ name, ...rest }) }),
  });
  assert.ok(response.ok, `${method} ${name}: ${response.status} ${await response.text()}`);
}

const deadTopic = declarations.topics[1] as (typeof declarations.topics)[number];
const deadSubscription = declarations.subscriptions[1] as (typeof declarations.subscriptions)[number];

const brokers = [
  { name: "the project's emulator", needs: needs('mongodb'), start: () => startEmulator() },
  { name: "Google's emulator", needs: needs('mongodb', 'googleEmulator'), start: startGoogleEmulator },
];

for (const { name, needs, start } of brokers) {
  test(
    `with more poison than leases and no dead-letter topic good writes go on: ${name}`,
    needs,
    async (context) => {
      const broker = await start();
      const leasedMax = 1_000;
      const setup = await setUp(context, broker, { LEASED_MESSAGES_MAX: String(leasedMax) });
      await resource(broker.host, 'DELETE', deadTopic);
      const poison = await setup.publish(
        Array.from({ length: 3_000 }, (_, at) => Buffer.from(`poison ${at}`)),
      );
      const good = Array.from({ length: 50 }, () => createWrites(new Date()));
      await setup.publish(good.map(encodeEnvelope));
      let waitingMax = 0;
      const watching = new AbortController();
      const watched = until(async () => {
        waitingMax = Math.max(waitingMax, await setup.metric('writer_dead_letters_waiting'));
        return watching.signal.aborted;
      });
      await setup.untilStored(good.flat());
      watching.abort();
      await watched;
      assert.ok(waitingMax > 0 && waitingMax <= leasedMax / 2, `${waitingMax} wait`);

      await resource(broker.host, 'DELETE', deadSubscription);
      await resource(broker.host, 'PUT', deadTopic);
      await resource(broker.host, 'PUT', deadSubscription);
      const letters = new Set<string>();
      const audit = setup.pubsub.subscription(names.deadLetterSubscription);
      audit.on('message', (message) => {
        letters.add(message.attributes.messageId ?? '');
        message.ack();
      });
      await until(() => letters.size === poison.length);
      assert.deepEqual(letters, new Set(poison));
      await until(async () => (await setup.metric('writer_dead_letters_waiting')) === 0);
      await audit.close();
    },
  );
}

test('a validator that refuses everything sends nothing to the dead letters, and without it all is stored', {
  ...needs('mongodb'),
}, async (context) => {
  const broker = await startEmulator();
  const setup = await setUp(context, broker, { REFUSED_IN_A_ROW_MAX: '1', LEASED_MESSAGES_MAX: '100' });
  await setup.database.command({ collMod: names.collection, validator: { type: 'nothing' } });
  const writes = Array.from({ length: 500 }, (_, at) => createRecord({ at }, new Date()));
  await setup.publishEach(writes);
  await until(async () => (await setup.metric('writer_breaker_open')) === 1);
  await until(async () => (await setup.metric('writer_envelopes_held')) > 0);
  // What finds no room goes back, so there are leases for others.
  await until(async () => (await setup.settledCount('returned')) > 0);
  assert.ok((await setup.metric('writer_envelopes_held')) <= 50);
  await setup.database.command({ collMod: names.collection, validator: {} });
  await setup.untilStored(writes);
  await until(async () => (await setup.metric('writer_breaker_open')) === 0);
  await until(
    () => backlogCount(broker.host),
    (count) => count === 0,
  );
  assert.equal(await setup.settledCount('dead_letter'), 0);
  assert.equal(setup.writer.output().split('MongoDB refuses every document').length, 2);
  assert.match(setup.writer.output(), /"level":50,.*MongoDB stores documents again/);
});

test('a good write behind more refused documents than leases is stored, and they become dead letters', {
  ...needs('mongodb'),
}, async (context) => {
  const broker = await startEmulator();
  const setup = await setUp(context, broker, { LEASED_MESSAGES_MAX: '200' });
  await setup.database.command({ collMod: names.collection, validator: { 'document.good': true } });
  const refused = Array.from({ length: 600 }, () => createRecord({}, new Date()));
  await setup.publishEach(refused);
  const good = [createRecord({ good: true }, new Date())];
  await setup.publishEach(good);
  await setup.untilStored(good);
  const stopping = new AbortController();
  const others = until(async () => {
    await setup.publishEach([createRecord({ good: true }, new Date())]);
    return stopping.signal.aborted;
  });
  await until(async () => (await setup.settledCount('dead_letter')) === refused.length);
  stopping.abort();
  await others;
});

test('a drain does not wait for a remedy', needs('mongodb'), async (context) => {
  const broker = await startEmulator();
  const setup = await setUp(context, broker, { REFUSED_IN_A_ROW_MAX: '1' });
  await resource(broker.host, 'DELETE', deadTopic);
  await setup.database.command({ collMod: names.collection, validator: { type: 'nothing' } });
  await setup.publish([Buffer.from('poison')]);
  await setup.publishEach([createRecord({}, new Date())]);
  await until(async () => (await setup.metric('writer_envelopes_held')) === 1);
  await until(async () => (await setup.metric('writer_dead_letters_waiting')) === 1);
  await setup.writer.stop();
  assert.equal(await setup.writer.exited(), 0, setup.writer.output());
  assert.equal(await backlogCount(broker.host), 2);
});
