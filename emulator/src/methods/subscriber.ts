/** google.pubsub.v1.Subscriber but for its stream: translates, decides nothing. */
import type { Broker } from '../broker/broker.ts';
import { invalid } from '../broker/errors.ts';
import type { Labels, SubscriptionSettings } from '../broker/settings.ts';
import {
  asMessage,
  durationMs,
  readPushConfig,
  readSubscription,
  writeSnapshot,
  writeSubscription,
} from '../resources.ts';
import { acknowledge, modifyAckDeadline } from './acks.ts';
import { pageRequest, pathsOf, textOf } from './fields.ts';
import type { UnaryMethod } from './method.ts';
import { type PlainMessage, type PlainMethod, pathOf, plainMethods } from './protos.ts';
import { pull } from './pull.ts';

export function subscriberMethods(broker: Broker): [path: string, UnaryMethod][] {
  return [
    [pathOf('Subscriber', 'Pull'), pull(broker)],
    [pathOf('Subscriber', 'Acknowledge'), acknowledge(broker)],
    [pathOf('Subscriber', 'ModifyAckDeadline'), modifyAckDeadline(broker)],
    ...plainMethods('Subscriber', { ...subscriptionMethods(broker), ...snapshotMethods(broker) }),
  ];
}

function subscriptionMethods({ resources, registry }: Broker): Record<string, PlainMethod> {
  const write = (settings: SubscriptionSettings) =>
    writeSubscription(settings, asMessage, registry.topics.get(settings.topic)?.settings.retentionMs);
  return {
    CreateSubscription: async (subscription: PlainMessage) =>
      write(await resources.createSubscription(readSubscription(subscription))),
    GetSubscription: ({ subscription }: PlainMessage) =>
      write(resources.subscription(textOf(subscription)).settings),
    UpdateSubscription: async ({ subscription, updateMask }: PlainMessage) => {
      const input = readSubscription((subscription ?? {}) as PlainMessage);
      return write(await resources.updateSubscription(input, pathsOf(updateMask)));
    },
    DeleteSubscription: async ({ subscription }: PlainMessage) => {
      await resources.deleteSubscription(textOf(subscription));
      return {};
    },
    ListSubscriptions: (request: PlainMessage) => {
      const page = resources.listSubscriptions(textOf(request.project), pageRequest(request));
      return { subscriptions: page.entries.map(write), nextPageToken: page.nextPageToken };
    },
    ModifyPushConfig: async ({ subscription, pushConfig }: PlainMessage) => {
      const { settings } = resources.subscription(textOf(subscription));
      const { expirationMs = null, ...rest } = settings;
      const input = { ...rest, expirationMs, push: readPushConfig(pushConfig) };
      await resources.updateSubscription(input, ['push_config']);
      return {};
    },
  };
}

function snapshotMethods({ resources }: Broker): Record<string, PlainMethod> {
  return {
    CreateSnapshot: async ({ name, subscription, labels }: PlainMessage) => {
      const input = {
        name: textOf(name),
        subscription: textOf(subscription),
        labels: labels as Labels | undefined,
      };
      return writeSnapshot(await resources.createSnapshot(input), asMessage);
    },
    GetSnapshot: ({ snapshot }: PlainMessage) =>
      writeSnapshot(resources.snapshotSettings(resources.snapshot(textOf(snapshot))), asMessage),
    UpdateSnapshot: async ({ snapshot, updateMask }: PlainMessage) => {
      const { name, labels, expireTime } = (snapshot ?? {}) as PlainMessage;
      const input = {
        name: textOf(name),
        labels: labels as Labels | undefined,
        expireTimeMs: durationMs(expireTime),
      };
      return writeSnapshot(await resources.updateSnapshot(input, pathsOf(updateMask)), asMessage);
    },
    DeleteSnapshot: async ({ snapshot }: PlainMessage) => {
      await resources.deleteSnapshot(textOf(snapshot));
      return {};
    },
    ListSnapshots: (request: PlainMessage) => {
      const page = resources.listSnapshots(textOf(request.project), pageRequest(request));
      const snapshots = page.entries.map((settings) => writeSnapshot(settings, asMessage));
      return { snapshots, nextPageToken: page.nextPageToken };
    },
    Seek: async ({ subscription, time, snapshot }: PlainMessage) => {
      const timeMs = durationMs(time);
      if (timeMs !== undefined) await resources.seekToTime(textOf(subscription), timeMs);
      else if (snapshot) await resources.seekToSnapshot(textOf(subscription), textOf(snapshot));
      else {
        throw invalid('No target was specified in the SeekRequest. Must specify either a time or a snapshot');
      }
      return {};
    },
  };
}
