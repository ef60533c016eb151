import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  createRecord,
  createWrites,
  encodeEnvelope,
  envelopeBytesMax,
  type Write,
} from '@assessment/api/envelope';
import { createMongoClient, openDatabase } from '@assessment/api/mongo';
import { names } from '@assessment/api/names';
import { createPubSub } from '@assessment/api/pubsub';
import type { Message, PubSub, Subscription } from '@google-cloud/pubsub';
import { BSON, type Collection, type MongoClient } from 'mongodb';
import { backlogCount } from '../../stress-test/backlog.ts';
import { encodeDeepEnvelope } from '../../test/deep-envelope.ts';
import {
  type Broker,
  type MongoDb,
  type NodeProcess,
  startEmulator,
  startMongoDb,
  startWriter,
} from '../../test/parts.ts';
import { needs } from '../../test/programs.ts';
import { until } from '../../test/until.ts';

/** What a publish request may have besides its data, with room for the name of the topic. */
const publishOverheadBytes = 100;
/** https://docs.cloud.google.com/pubsub/quotas#resource_limits, as the service takes it. */
const publishBytesMax = 10_000_000;

describe('poison among good envelopes', needs('mongodb'), () => {
  let mongoDb: MongoDb;
  let broker: Broker;
  let writer: NodeProcess;
  let client: MongoClient;
  let pubsub: PubSub;
  let subscription: Subscription;
  let records: Collection<Write>;
  const letters: Message[] = [];

  before(async () => {
    [mongoDb, broker] = await Promise.all([startMongoDb(), startEmulator()]);
    client = createMongoClient(mongoDb.uri, { appName: 'test', poolSizeMax: 10 });
    const database = openDatabase(client, mongoDb.uri);
    records = await database.createCollection<Write>(names.collection, {
      validator: { $jsonSchema: { properties: { document: { properties: { poison: { enum: [false] } } } } } },
    });
    await records.createIndex({ 'document.unique': 1 }, { unique: true, sparse: true });
    process.env.PUBSUB_EMULATOR_HOST = broker.host;
    pubsub = createPubSub({ PUBSUB_PROJECT_ID: 'assessment-project', PUBSUB_EMULATOR_HOST: broker.host });
    subscription = pubsub.subscription(names.deadLetterSubscription);
    subscription.on('message', (message) => {
      letters.push(message);
      message.ack();
    });
    writer = await startWriter({ mongoDb, broker });
  });
  after(async () => {
    await subscription.close();
    await pubsub.close();
    await client.close();
    await writer.stop();
    await Promise.all([broker.stop(), mongoDb.stop()]);
  });

  const publish = (data: Buffer) => pubsub.topic(names.topic).publishMessage({ data });
  const lettersOf = (id: string) => letters.filter(({ attributes }) => attributes.messageId === id);

  async function untilStored(writes: Write[]): Promise<void> {
    for (const { _id } of writes) {
      await until(
        () => records.findOne({ _id }),
        (document) => document !== null,
      );
    }
  }

  async function untilLetter(id: string): Promise<Message> {
    await until(
      async () => lettersOf(id).length,
      (count) => count > 0,
    );
    return lettersOf(id)[0] as Message;
  }

  test('each lands in the dead-letter topic once with its reason, and all others are stored', async () => {
    const now = new Date();
    const refused = [
      ...createWrites(now),
      createRecord({ poison: true }, now),
      createRecord({ poison: false }, now),
    ];
    const poison: [Buffer, RegExp][] = [
      [Buffer.from('no envelope'), /^not a BSON document: /],
      [Buffer.from([0xff, 0x00, 0xff]), /^not a BSON document: /],
      [Buffer.from(BSON.serialize({ v: 3, writes: createWrites(now) })), /^v: /],
      [encodeEnvelope(refused), new RegExp(`^${refused[5]?._id.toHexString()}: MongoDB error 121: `)],
      [encodeDeepEnvelope(5_000), /^[0-9a-f]{24}: /],
      [encodeDeepEnvelope(200_000), /^[0-9a-f]{24}: /],
      [Buffer.alloc(envelopeBytesMax + 1), /^an envelope holds at most 2097152 bytes, got 2097153/],
    ];
    const good = Array.from({ length: 50 }, () => createWrites(now));
    const goodSent = good.map((writes) => publish(encodeEnvelope(writes)));
    const ids = await Promise.all(poison.map(([data]) => publish(data)));
    await Promise.all(goodSent);

    await untilStored([...good.flat(), ...refused.slice(0, 5), ...refused.slice(6)]);
    for (const [at, [data, reason]] of poison.entries()) {
      const letter = await untilLetter(ids[at] ?? '');
      assert.match(letter.attributes.reason ?? '', reason);
      assert.ok(letter.data.equals(data));
      assert.equal(letter.attributes.subscription, names.subscription);
    }
    assert.equal(await records.findOne({ _id: refused[5]?._id as Write['_id'] }), null);
    assert.deepEqual(
      ids.map((id) => lettersOf(id).length),
      ids.map(() => 1),
    );
    await until(
      () => backlogCount(broker.host),
      (count) => count === 0,
    );
  });

  test('an envelope that holds an id twice stores it once', async () => {
    const [first, second] = createWrites(new Date());
    assert.ok(first && second);
    const id = await publish(encodeEnvelope([first, { ...second, _id: first._id }, second]));
    await untilStored([first, second]);
    assert.deepEqual(await records.find({ _id: first._id }).toArray(), [first]);
    assert.equal(lettersOf(id).length, 0);
  });

  test('the largest message that the broker takes lands there whole, in parts', async () => {
    const data = Buffer.alloc(publishBytesMax - publishOverheadBytes);
    for (let at = 0; at < data.length; at += 4) data.writeUInt32LE(at, at);
    const id = await publish(data);
    const parts = await until(
      async () => lettersOf(id),
      ({ length }) => length === 2,
    );
    parts.sort((a, b) => (a.attributes.part ?? '').localeCompare(b.attributes.part ?? ''));
    assert.deepEqual(
      parts.map(({ attributes }) => attributes.part),
      ['1/2', '2/2'],
    );
    assert.ok(Buffer.concat(parts.map((part) => part.data)).equals(data));
  });

  test('the log of the writer tells of a dead letter, and nothing of what it holds', async () => {
    const first = createRecord({ unique: 'a secret value' }, new Date());
    await publish(encodeEnvelope([first]));
    await untilStored([first]);
    const id = await publish(encodeEnvelope([createRecord({ unique: 'a secret value' }, new Date())]));
    assert.match((await untilLetter(id)).attributes.reason ?? '', /MongoDB error 11000: .*a secret value/);
    const unreadable = await publish(Buffer.from(BSON.serialize({ v: 1, writes: [], 'a secret key': 1 })));
    await untilLetter(unreadable);
    await until(
      async () => writer.output(),
      (output) => output.includes(`"messageId":"${unreadable}"`),
    );
    assert.match(writer.output(), new RegExp(`"messageId":"${id}".*dead-letter topic`));
    assert.doesNotMatch(writer.output(), /secret/);
  });
});
