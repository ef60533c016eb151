/** google.pubsub.v1.Publisher over gRPC: translates, decides nothing. */
import type { UntypedServiceImplementation } from '@grpc/grpc-js';
import type { Broker } from '../broker/broker.ts';
import { asMessage, readTopic, writeTopic } from '../resources.ts';
import type { PlainMessage } from './definitions.ts';
import { pageRequest, pathsOf, textOf } from './fields.ts';
import { unary } from './unary.ts';
import { readPublish, writePublishResponse } from './wire.ts';

export function createPublisher(broker: Broker): UntypedServiceImplementation {
  const { resources } = broker;
  return {
    Publish: unary(async (bytes: Buffer) => {
      const { topic, messages } = readPublish(bytes);
      return writePublishResponse(await broker.publish(topic, messages));
    }),
    CreateTopic: unary(async (topic: PlainMessage) =>
      writeTopic(await resources.createTopic(readTopic(topic)), asMessage),
    ),
    GetTopic: unary(({ topic }: PlainMessage) =>
      writeTopic(resources.topic(textOf(topic)).settings, asMessage),
    ),
    UpdateTopic: unary(async ({ topic, updateMask }: PlainMessage) => {
      const settings = await resources.updateTopic(
        readTopic((topic ?? {}) as PlainMessage),
        pathsOf(updateMask),
      );
      return writeTopic(settings, asMessage);
    }),
    DeleteTopic: unary(async ({ topic }: PlainMessage) => {
      await resources.deleteTopic(textOf(topic));
      return {};
    }),
    ListTopics: unary((request: PlainMessage) => {
      const page = resources.listTopics(textOf(request.project), pageRequest(request));
      const topics = page.entries.map((settings) => writeTopic(settings, asMessage));
      return { topics, nextPageToken: page.nextPageToken };
    }),
    ListTopicSubscriptions: unary((request: PlainMessage) => {
      const page = resources.listTopicSubscriptions(textOf(request.topic), pageRequest(request));
      return { subscriptions: page.entries.map(({ name }) => name), nextPageToken: page.nextPageToken };
    }),
    ListTopicSnapshots: unary((request: PlainMessage) => {
      const page = resources.listTopicSnapshots(textOf(request.topic), pageRequest(request));
      return { snapshots: page.entries.map(({ name }) => name), nextPageToken: page.nextPageToken };
    }),
    DetachSubscription: unary(async ({ subscription }: PlainMessage) => {
      await resources.detachSubscription(textOf(subscription));
      return {};
    }),
  };
}
