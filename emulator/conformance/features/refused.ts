import assert from 'node:assert/strict';
import pubsub from '@google-cloud/pubsub/build/protos/protos.js';
import type { Check, Feature } from '../check.ts';
import { allRefuse, refuses, type StatusName } from '../expect.ts';
import type { Place, SubscriptionSettings, TopicSettings } from '../place.ts';
import { sources } from '../sources.ts';

const { Encoding, Schema } = pubsub.google.pubsub.v1;

const stores = 'stores it, without any effect';

function topicSetting(what: string, field: string, settings: TopicSettings, source: string): Check {
  return {
    name: `refuses a topic with ${what}`,
    source,
    refuses: `a topic with ${what}`,
    async run(place) {
      const text = `${field} of a Topic is not supported by this emulator. Leave it out here.`;
      await refuses(place.createTopic('topic', settings), 'UNIMPLEMENTED', text);
    },
    google: {
      does: stores,
      async run(place) {
        await place.createTopic('topic', settings);
      },
    },
  };
}

function subscriptionSetting(
  what: string,
  field: string,
  settings: SubscriptionSettings,
  source: string,
): Check {
  return {
    name: `refuses a subscription with ${what}`,
    source,
    refuses: `a subscription with ${what}`,
    async run(place) {
      const text = `${field} of a Subscription is not supported by this emulator. Leave it out here.`;
      await refuses(place.subscribe(settings), 'UNIMPLEMENTED', text);
    },
    google: {
      does: stores,
      async run(place) {
        await place.subscribe(settings);
      },
    },
  };
}

const kmsKey = 'projects/p/locations/l/keyRings/r/cryptoKeys/k';

const update: Check = {
  name: 'refuses an update of what it refuses to create',
  source: sources.updateTopic,
  refuses: 'updates of all these',
  async run(place) {
    await place.subscribe();
    const topic = { name: place.topicName(), kmsKeyName: kmsKey };
    await refuses(
      place.publisher.updateTopic({ topic, updateMask: { paths: ['kms_key_name'] } }),
      'UNIMPLEMENTED',
      'kmsKeyName of a Topic is not supported by this emulator. Leave it out here.',
    );
    const subscription = {
      name: place.subscriptionName(),
      bigqueryConfig: { table: 'project.dataset.table' },
    };
    for (const path of ['bigquery_config', 'bigquery_config.table']) {
      await refuses(
        place.subscriber.updateSubscription({ subscription, updateMask: { paths: [path] } }),
        'UNIMPLEMENTED',
        'bigqueryConfig of a Subscription is not supported by this emulator. Leave it out here.',
      );
    }
    // Not named by the mask, it is not asked for.
    await place.subscriber.updateSubscription({ subscription, updateMask: { paths: ['labels'] } });
  },
  google: {
    does: 'refuses it with INVALID_ARGUMENT: not a known field',
    async run(place) {
      await place.subscribe();
      const topic = { name: place.topicName(), kmsKeyName: kmsKey };
      await refuses(
        place.publisher.updateTopic({ topic, updateMask: { paths: ['kms_key_name'] } }),
        'INVALID_ARGUMENT',
        /kms_key_name is not a known Topic field/,
      );
    },
  },
};

const transforms = [
  { javascriptUdf: { functionName: 'drop', code: 'function drop(message, metadata) { return null; }' } },
];

const settings: Check[] = [
  subscriptionSetting(
    'a BigQuery table (bigquery_config)',
    'bigqueryConfig',
    { bigqueryConfig: { table: 'project.dataset.table' } },
    sources.bigQuery,
  ),
  subscriptionSetting(
    'a Cloud Storage bucket (cloud_storage_config)',
    'cloudStorageConfig',
    { cloudStorageConfig: { bucket: 'bucket' } },
    sources.cloudStorage,
  ),
  subscriptionSetting(
    'transforms of messages (message_transforms)',
    'messageTransforms',
    { messageTransforms: transforms },
    sources.transforms,
  ),
  topicSetting(
    'transforms of messages (message_transforms)',
    'messageTransforms',
    { messageTransforms: transforms },
    sources.transforms,
  ),
  topicSetting('a key of its own (kms_key_name)', 'kmsKeyName', { kmsKeyName: kmsKey }, sources.topic),
  topicSetting(
    'a region of storage (message_storage_policy)',
    'messageStoragePolicy',
    { messageStoragePolicy: { allowedPersistenceRegions: ['europe-west1'] } },
    sources.topic,
  ),
  topicSetting(
    'ingestion from elsewhere (ingestion_data_source_settings)',
    'ingestionDataSourceSettings',
    {
      ingestionDataSourceSettings: {
        awsKinesis: {
          streamArn: 'arn:aws:kinesis:us-east-1:1:stream/s',
          consumerArn: 'arn:aws:kinesis:us-east-1:1:stream/s/consumer/c:1',
          awsRoleArn: 'arn:aws:iam::1:role/r',
          gcpServiceAccount: 'ingestion@example.com',
        },
      },
    },
    sources.ingestion,
  ),
];

const avro = '{"type":"record","name":"Order","fields":[{"name":"id","type":"string"}]}';
const noSchemas = 'Schemas are not supported by this emulator. Use a topic without schema_settings.';

function createSchema(place: Place, schemaId: string, type: keyof typeof Schema.Type, definition: string) {
  const schema = { type: Schema.Type[type], definition };
  return place.client.schemas().createSchema({ parent: place.project, schemaId, schema });
}

const schemas: Check[] = [
  {
    name: 'refuses Avro schemas',
    source: sources.schemas,
    refuses: 'Avro schemas',
    async run(place) {
      await refuses(createSchema(place, 'order', 'AVRO', avro), 'UNIMPLEMENTED', noSchemas);
      const schemaSettings = { schema: `${place.project}/schemas/order`, encoding: Encoding.JSON };
      const text = 'schemaSettings of a Topic is not supported by this emulator. Leave it out here.';
      await refuses(place.createTopic('topic', { schemaSettings }), 'UNIMPLEMENTED', text);
    },
    google: {
      does: 'has them, and refuses messages that do not fit',
      follows: true,
      async run(place) {
        const { name } = await createSchema(place, 'order', 'AVRO', avro);
        const topic = await place.createTopic('topic', {
          schemaSettings: { schema: name, encoding: Encoding.JSON },
        });
        assert.equal((await place.publish(topic, '{"id":"1"}')).length, 1);
        await refuses(place.publish(topic, 'nonsense'), 'INVALID_ARGUMENT', 'Could not parse message');
      },
    },
  },
  {
    name: 'refuses schemas of protocol buffers',
    source: sources.schemas,
    refuses: 'schemas of protocol buffers',
    async run(place) {
      const definition = 'syntax = "proto3"; message Order { string id = 1; }';
      await refuses(createSchema(place, 'order', 'PROTOCOL_BUFFER', definition), 'UNIMPLEMENTED', noSchemas);
    },
    google: {
      does: 'refuses them too',
      async run(place) {
        const definition = 'syntax = "proto3"; message Order { string id = 1; }';
        await refuses(
          createSchema(place, 'order', 'PROTOCOL_BUFFER', definition),
          'UNIMPLEMENTED',
          'Protocol buffer support not implemented in emulator',
        );
      },
    },
  },
];

/** What the three requests of google.iam.v1.IAMPolicy begin with: the resource. */
const resourceRequest = (name: string) => Buffer.from([10, name.length, ...Buffer.from(name)]);

const refusesIam = (code: StatusName, text: string) => (place: Place) =>
  allRefuse(
    ['SetIamPolicy', 'GetIamPolicy', 'TestIamPermissions'].map((method) =>
      place.client.call(`/google.iam.v1.IAMPolicy/${method}`, resourceRequest(place.topicName())),
    ),
    code,
    text,
  );

export const refused: Feature = {
  title: 'what has no place in an emulator: sinks, schemas, IAM',
  checks: [
    ...settings,
    update,
    ...schemas,
    {
      name: 'refuses IAM policies and permissions',
      source: sources.iam,
      refuses: 'IAM',
      run: refusesIam(
        'UNIMPLEMENTED',
        'IAM is not supported by this emulator: every caller may do everything.',
      ),
      google: { does: 'refuses them without a word', run: refusesIam('UNIMPLEMENTED', '') },
    },
  ],
};
