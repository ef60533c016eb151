/** google.pubsub.v1.Publisher: translates, decides nothing. */
import type { Broker } from '../broker/broker.ts';
import { asMessage, readTopic, writeTopic } from '../resources.ts';
import { pageRequest, pathsOf, textOf } from './fields.ts';
import type { UnaryMethod } from './method.ts';
import { type PlainMessage, pathOf, plainMethods } from './protos.ts';
import { readPublish, writePublishResponse } from './wire.ts';

export function publisherMethods(broker: Broker): [path: string, UnaryMethod][] {
  const { resources } = broker;
  const publish: UnaryMethod = async (bytes) => {
    const { topic, messages } = readPublish(bytes);
    return writePublishResponse(await broker.publish(topic, messages));
  };
  const plain = plainMethods('Publisher', {
    CreateTopic: async (topic: PlainMessage) =>
      writeTopic(await resources.createTopic(readTopic(topic)), asMessage),
    GetTopic: ({ topic }: PlainMessage) => writeTopic(resources.topic(textOf(topic)).settings, asMessage),
    UpdateTopic: async ({ topic, updateMask }: PlainMessage) => {
      const settings = await resources.updateTopic(
        readTopic((topic ?? {}) as PlainMessage),
        pathsOf(updateMask),
      );
      return writeTopic(settings, asMessage);
    },
    DeleteTopic: async ({ topic }: PlainMessage) => {
      await resources.deleteTopic(textOf(topic));
      return {};
    },
    ListTopics: (request: PlainMessage) => {
      const page = resources.listTopics(textOf(request.project), pageRequest(request));
      const topics = page.entries.map((settings) => writeTopic(settings, asMessage));
      return { topics, nextPageToken: page.nextPageToken };
    },
    ListTopicSubscriptions: (request: PlainMessage) => {
      const page = resources.listTopicSubscriptions(textOf(request.topic), pageRequest(request));
      return { subscriptions: page.entries.map(({ name }) => name), nextPageToken: page.nextPageToken };
    },
    ListTopicSnapshots: (request: PlainMessage) => {
      const page = resources.listTopicSnapshots(textOf(request.topic), pageRequest(request));
      return { snapshots: page.entries.map(({ name }) => name), nextPageToken: page.nextPageToken };
    },
    DetachSubscription: async ({ subscription }: PlainMessage) => {
      await resources.detachSubscription(textOf(subscription));
      return {};
    },
  });
  return [[pathOf('Publisher', 'Publish'), publish], ...plain];
}
