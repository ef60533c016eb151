/** google.pubsub.v1.Subscriber over gRPC: translates, decides nothing. */
import type { UntypedServiceImplementation } from '@grpc/grpc-js';
import type { Broker } from '../broker/broker.ts';
import { invalid, Refusal } from '../broker/errors.ts';
import type { Labels, SubscriptionSettings } from '../broker/settings.ts';
import { asMessage, durationMs, readSubscription, writeSnapshot, writeSubscription } from '../resources.ts';
import { acknowledge, modifyAckDeadline } from './acks.ts';
import type { PlainMessage } from './definitions.ts';
import { pageRequest, pathsOf, textOf } from './fields.ts';
import { pull } from './pull.ts';
import { streamingPull } from './streaming-pull.ts';
import { unary } from './unary.ts';

export function createSubscriber(broker: Broker): UntypedServiceImplementation {
  return { ...messageMethods(broker), ...subscriptionMethods(broker), ...snapshotMethods(broker) };
}

function messageMethods(broker: Broker): UntypedServiceImplementation {
  return {
    StreamingPull: streamingPull(broker),
    Pull: pull(broker),
    Acknowledge: acknowledge(broker),
    ModifyAckDeadline: modifyAckDeadline(broker),
  };
}

function subscriptionMethods({ resources, registry }: Broker): UntypedServiceImplementation {
  const write = (settings: SubscriptionSettings) =>
    writeSubscription(settings, asMessage, registry.topics.get(settings.topic)?.settings.retentionMs);
  return {
    CreateSubscription: unary(async (subscription: PlainMessage) =>
      write(await resources.createSubscription(readSubscription(subscription))),
    ),
    GetSubscription: unary(({ subscription }: PlainMessage) =>
      write(resources.subscription(textOf(subscription)).settings),
    ),
    UpdateSubscription: unary(async ({ subscription, updateMask }: PlainMessage) => {
      const input = readSubscription((subscription ?? {}) as PlainMessage);
      return write(await resources.updateSubscription(input, pathsOf(updateMask)));
    }),
    DeleteSubscription: unary(async ({ subscription }: PlainMessage) => {
      await resources.deleteSubscription(textOf(subscription));
      return {};
    }),
    ListSubscriptions: unary((request: PlainMessage) => {
      const page = resources.listSubscriptions(textOf(request.project), pageRequest(request));
      return { subscriptions: page.entries.map(write), nextPageToken: page.nextPageToken };
    }),
    ModifyPushConfig: unary(({ subscription, pushConfig }: PlainMessage) => {
      resources.subscription(textOf(subscription));
      if (!(pushConfig as PlainMessage | undefined)?.pushEndpoint) return {};
      throw new Refusal('UNIMPLEMENTED', 'Push subscriptions are not supported by this emulator yet.');
    }),
  };
}

function snapshotMethods({ resources }: Broker): UntypedServiceImplementation {
  return {
    CreateSnapshot: unary(async ({ name, subscription, labels }: PlainMessage) => {
      const input = {
        name: textOf(name),
        subscription: textOf(subscription),
        labels: labels as Labels | undefined,
      };
      return writeSnapshot(await resources.createSnapshot(input), asMessage);
    }),
    GetSnapshot: unary(({ snapshot }: PlainMessage) =>
      writeSnapshot(resources.snapshotSettings(resources.snapshot(textOf(snapshot))), asMessage),
    ),
    UpdateSnapshot: unary(async ({ snapshot, updateMask }: PlainMessage) => {
      const { name, labels, expireTime } = (snapshot ?? {}) as PlainMessage;
      const input = {
        name: textOf(name),
        labels: labels as Labels | undefined,
        expireTimeMs: durationMs(expireTime),
      };
      return writeSnapshot(await resources.updateSnapshot(input, pathsOf(updateMask)), asMessage);
    }),
    DeleteSnapshot: unary(async ({ snapshot }: PlainMessage) => {
      await resources.deleteSnapshot(textOf(snapshot));
      return {};
    }),
    ListSnapshots: unary((request: PlainMessage) => {
      const page = resources.listSnapshots(textOf(request.project), pageRequest(request));
      const snapshots = page.entries.map((settings) => writeSnapshot(settings, asMessage));
      return { snapshots, nextPageToken: page.nextPageToken };
    }),
    Seek: unary(async ({ subscription, time, snapshot }: PlainMessage) => {
      const timeMs = durationMs(time);
      if (timeMs !== undefined) await resources.seekToTime(textOf(subscription), timeMs);
      else if (snapshot) await resources.seekToSnapshot(textOf(subscription), textOf(snapshot));
      else {
        throw invalid('No target was specified in the SeekRequest. Must specify either a time or a snapshot');
      }
      return {};
    }),
  };
}
