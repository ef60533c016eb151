/** google.pubsub.v1.Subscriber but for its stream: translates, decides nothing. */
import type { Broker } from '../broker/broker.ts';
import { invalid } from '../broker/errors.ts';
import type { Labels, SubscriptionSettings } from '../broker/settings.ts';
import { readPushConfig, readSubscription, timeOf, writeSnapshot, writeSubscription } from '../resources.ts';
import { acknowledge, modifyAckDeadline } from './acks.ts';
import { applyMask } from './apply-mask.ts';
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

function subscriptionMethods({ subscriptions, registry }: Broker): Record<string, PlainMethod> {
  const write = (settings: SubscriptionSettings) =>
    writeSubscription(settings, registry.topics.get(settings.topic)?.settings.retentionMs);
  return {
    CreateSubscription: async (subscription: PlainMessage) =>
      write(await subscriptions.create(readSubscription(subscription))),
    GetSubscription: ({ subscription }: PlainMessage) =>
      write(subscriptions.get(textOf(subscription)).settings),
    UpdateSubscription: async ({ subscription, updateMask }: PlainMessage) => {
      const input = (subscription ?? {}) as PlainMessage;
      const paths = pathsOf(updateMask);
      const current = write(subscriptions.get(textOf(input.name)).settings);
      const changed = readSubscription(applyMask('Subscription', current, input, paths));
      return write(await subscriptions.update(changed, paths));
    },
    DeleteSubscription: async ({ subscription }: PlainMessage) => {
      await subscriptions.delete(textOf(subscription));
      return {};
    },
    ListSubscriptions: (request: PlainMessage) => {
      const page = subscriptions.list(textOf(request.project), pageRequest(request));
      return { subscriptions: page.entries.map(write), nextPageToken: page.nextPageToken };
    },
    ModifyPushConfig: async ({ subscription, pushConfig }: PlainMessage) => {
      await subscriptions.modifyPush(textOf(subscription), readPushConfig(pushConfig));
      return {};
    },
  };
}

function snapshotMethods({ snapshots, seek }: Broker): Record<string, PlainMethod> {
  return {
    CreateSnapshot: async ({ name, subscription, labels }: PlainMessage) => {
      const input = {
        name: textOf(name),
        subscription: textOf(subscription),
        labels: labels as Labels | undefined,
      };
      return writeSnapshot(await snapshots.create(input));
    },
    GetSnapshot: ({ snapshot }: PlainMessage) =>
      writeSnapshot(snapshots.settingsOf(snapshots.get(textOf(snapshot)))),
    UpdateSnapshot: async ({ snapshot, updateMask }: PlainMessage) => {
      const { name, labels, expireTime } = (snapshot ?? {}) as PlainMessage;
      const input = {
        name: textOf(name),
        labels: labels as Labels | undefined,
        expireTime: timeOf(expireTime),
      };
      return writeSnapshot(await snapshots.update(input, pathsOf(updateMask)));
    },
    DeleteSnapshot: async ({ snapshot }: PlainMessage) => {
      await snapshots.delete(textOf(snapshot));
      return {};
    },
    ListSnapshots: (request: PlainMessage) => {
      const page = snapshots.list(textOf(request.project), pageRequest(request));
      const listed = page.entries.map((settings) => writeSnapshot(settings));
      return { snapshots: listed, nextPageToken: page.nextPageToken };
    },
    Seek: async ({ subscription, time, snapshot }: PlainMessage) => {
      const since = timeOf(time);
      // Publish times are whole milliseconds, so a time between two of them means the later one.
      if (since) await seek.toTime(textOf(subscription), since.nanos > 0 ? since.ms + 1 : since.ms);
      else if (snapshot) await seek.toSnapshot(textOf(subscription), textOf(snapshot));
      else {
        throw invalid('No target was specified in the SeekRequest. Must specify either a time or a snapshot');
      }
      return {};
    },
  };
}
