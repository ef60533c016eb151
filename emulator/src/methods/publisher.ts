/** google.pubsub.v1.Publisher: translates, decides nothing. */
import type { Broker } from '../broker/broker.ts';
import { readTopic, writeTopic } from '../resources.ts';
import { applyMask } from './apply-mask.ts';
import { pageRequest, pathsOf, textOf } from './fields.ts';
import type { UnaryMethod } from './method.ts';
import { type PlainMessage, pathOf, plainMethods } from './protos.ts';
import { readPublish, writePublishResponse } from './wire.ts';

export function publisherMethods(broker: Broker): [path: string, UnaryMethod][] {
  const { topics, subscriptions } = broker;
  const publish: UnaryMethod = async (bytes) => {
    const { topic, messages } = readPublish(bytes, (name) => topics.get(name));
    return writePublishResponse(await broker.publish(topic, messages));
  };
  const plain = plainMethods('Publisher', {
    CreateTopic: async (topic: PlainMessage) => writeTopic(await topics.create(readTopic(topic))),
    GetTopic: ({ topic }: PlainMessage) => writeTopic(topics.get(textOf(topic)).settings),
    UpdateTopic: async ({ topic, updateMask }: PlainMessage) => {
      const input = (topic ?? {}) as PlainMessage;
      const paths = pathsOf(updateMask);
      const current = writeTopic(topics.get(textOf(input.name)).settings);
      return writeTopic(await topics.update(readTopic(applyMask('Topic', current, input, paths)), paths));
    },
    DeleteTopic: async ({ topic }: PlainMessage) => {
      await topics.delete(textOf(topic));
      return {};
    },
    ListTopics: (request: PlainMessage) => {
      const page = topics.list(textOf(request.project), pageRequest(request));
      const listed = page.entries.map((settings) => writeTopic(settings));
      return { topics: listed, nextPageToken: page.nextPageToken };
    },
    ListTopicSubscriptions: (request: PlainMessage) => {
      const page = topics.listSubscriptions(textOf(request.topic), pageRequest(request));
      return { subscriptions: page.entries.map(({ name }) => name), nextPageToken: page.nextPageToken };
    },
    ListTopicSnapshots: (request: PlainMessage) => {
      const page = topics.listSnapshots(textOf(request.topic), pageRequest(request));
      return { snapshots: page.entries.map(({ name }) => name), nextPageToken: page.nextPageToken };
    },
    DetachSubscription: async ({ subscription }: PlainMessage) => {
      await subscriptions.detach(textOf(subscription));
      return {};
    },
  });
  return [[pathOf('Publisher', 'Publish'), publish], ...plain];
}
