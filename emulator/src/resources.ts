/**
 * Topics, subscriptions and snapshots between messages as protobufjs has them and the broker's settings. What the broker
 * does not honour is refused here.
 */
import { Refusal } from './broker/errors.ts';
import type {
  Labels,
  PushSettings,
  SnapshotSettings,
  SubscriptionSettings,
  TopicSettings,
} from './broker/settings.ts';
import { pushVersion, type SubscriptionInput, type TopicInput } from './broker/validation.ts';
import { textOf } from './methods/fields.ts';

export type Resource = Record<string, unknown>;

/** @throws Refusal */
export function readTopic(resource: Resource): TopicInput {
  refuse('Topic', resource, [
    'messageStoragePolicy',
    'kmsKeyName',
    'schemaSettings',
    'ingestionDataSourceSettings',
    'messageTransforms',
    'tags',
  ]);
  return {
    name: textOf(resource.name),
    labels: resource.labels as Labels | undefined,
    retentionMs: msOf(resource.messageRetentionDuration),
  };
}

export function writeTopic(settings: TopicSettings): Resource {
  return {
    name: settings.name,
    ...withLabels(settings.labels),
    ...(settings.retentionMs === undefined
      ? {}
      : { messageRetentionDuration: secondsAndNanos(settings.retentionMs) }),
    state: 'ACTIVE',
  };
}

/** @throws Refusal */
export function readSubscription(resource: Resource): SubscriptionInput {
  refuse('Subscription', resource, [
    'bigqueryConfig',
    'cloudStorageConfig',
    'bigtableConfig',
    'messageTransforms',
    'tags',
  ]);
  const deadLetter = resource.deadLetterPolicy as Resource | undefined;
  const retry = resource.retryPolicy as Resource | undefined;
  const expiration = resource.expirationPolicy as Resource | undefined;
  const ackDeadlineSeconds = resource.ackDeadlineSeconds as number | undefined;
  return {
    name: textOf(resource.name),
    topic: textOf(resource.topic),
    labels: resource.labels as Labels | undefined,
    ackDeadlineMs: ackDeadlineSeconds === undefined ? undefined : ackDeadlineSeconds * 1_000,
    retainsAcked: resource.retainAckedMessages as boolean | undefined,
    retentionMs: msOf(resource.messageRetentionDuration),
    isOrdered: resource.enableMessageOrdering as boolean | undefined,
    isExactlyOnce: resource.enableExactlyOnceDelivery as boolean | undefined,
    filter: resource.filter as string | undefined,
    // A policy without a ttl: never. Without a policy: the default.
    expirationMs: expiration ? (msOf(expiration.ttl) ?? null) : undefined,
    deadLetterPolicy: deadLetter && {
      topic: textOf(deadLetter.deadLetterTopic),
      attemptsMax: Number(deadLetter.maxDeliveryAttempts ?? 0),
    },
    ...readPushConfig(resource.pushConfig),
    retryPolicy: retry && {
      minimumBackoffMs: msOf(retry.minimumBackoff),
      maximumBackoffMs: msOf(retry.maximumBackoff),
    },
  };
}

/** A PushConfig; `push` is undefined without an endpoint: the subscription is pulled then. @throws Refusal */
export function readPushConfig(value: unknown): Pick<SubscriptionInput, 'push' | 'pushAttributes'> {
  const config = (value ?? {}) as Resource;
  if (asksForSomething(config.oidcToken)) {
    const why = 'Only Google can sign the tokens of push requests, and an unsigned one would prove nothing.';
    throw new Refusal(
      'UNIMPLEMENTED',
      `oidcToken of a PushConfig is not supported by this emulator. ${why} Leave it out here.`,
    );
  }
  const attributes = (config.attributes ?? {}) as Record<string, string>;
  if (!config.pushEndpoint) {
    return { push: undefined, pushAttributes: Object.keys(attributes).length > 0 ? attributes : undefined };
  }
  const noWrapper = config.noWrapper as Resource | undefined;
  const push: PushSettings = {
    endpoint: textOf(config.pushEndpoint),
    attributes,
    isUnwrapped: noWrapper !== undefined,
    writesMetadata: noWrapper?.writeMetadata === true,
  };
  return { push, pushAttributes: undefined };
}

/** With a valid version, also where none was set: pubsub.proto, PushConfig.attributes. */
function writePushConfig({ push, pushAttributes }: SubscriptionSettings): Resource {
  if (!push) return pushAttributes ? { attributes: pushAttributes } : {};
  return {
    pushEndpoint: push.endpoint,
    attributes: { [pushVersion]: 'v1', ...push.attributes },
    ...(push.isUnwrapped
      ? { noWrapper: push.writesMetadata ? { writeMetadata: true } : {} }
      : { pubsubWrapper: {} }),
  };
}

export function writeSubscription(settings: SubscriptionSettings, topicRetentionMs?: number): Resource {
  const { deadLetterPolicy, retryPolicy, expirationMs } = settings;
  return {
    name: settings.name,
    topic: settings.topic,
    pushConfig: writePushConfig(settings),
    ackDeadlineSeconds: settings.ackDeadlineMs / 1_000,
    ...(settings.retainsAcked ? { retainAckedMessages: true } : {}),
    messageRetentionDuration: secondsAndNanos(settings.retentionMs),
    ...withLabels(settings.labels),
    ...(settings.isOrdered ? { enableMessageOrdering: true } : {}),
    expirationPolicy: expirationMs === undefined ? {} : { ttl: secondsAndNanos(expirationMs) },
    ...(settings.filter === '' ? {} : { filter: settings.filter }),
    ...(deadLetterPolicy && {
      deadLetterPolicy: {
        deadLetterTopic: deadLetterPolicy.topic,
        maxDeliveryAttempts: deadLetterPolicy.attemptsMax,
      },
    }),
    ...(retryPolicy && {
      retryPolicy: {
        minimumBackoff: secondsAndNanos(retryPolicy.minimumBackoffMs),
        maximumBackoff: secondsAndNanos(retryPolicy.maximumBackoffMs),
      },
    }),
    ...(settings.isDetached ? { detached: true } : {}),
    ...(settings.isExactlyOnce ? { enableExactlyOnceDelivery: true } : {}),
    ...(topicRetentionMs === undefined
      ? {}
      : { topicMessageRetentionDuration: secondsAndNanos(topicRetentionMs) }),
    state: 'ACTIVE',
  };
}

export function writeSnapshot(settings: SnapshotSettings): Resource {
  const { name, topic, labels, expireTimeMs, expireTimeNanos = 0 } = settings;
  const { seconds, nanos } = secondsAndNanos(expireTimeMs);
  return { name, topic, expireTime: { seconds, nanos: nanos + expireTimeNanos }, ...withLabels(labels) };
}

/** A Timestamp as whole milliseconds and the nanoseconds beside them: a number alone holds it to 244 ns. */
export function timeOf(value: unknown): { ms: number; nanos: number } | undefined {
  if (value === undefined || value === null) return undefined;
  const { seconds = 0, nanos = 0 } = value as { seconds?: number; nanos?: number };
  return { ms: Number(seconds) * 1_000 + Math.floor(nanos / 1e6), nanos: nanos % 1e6 };
}

/** A Duration, to the nanosecond; undefined where there is none. */
export function msOf(value: unknown): number | undefined {
  if (value === undefined || value === null) return undefined;
  const { seconds = 0, nanos = 0 } = value as { seconds?: number; nanos?: number };
  return Number(seconds) * 1_000 + Number(nanos) / 1e6;
}

/** A Duration, or a Timestamp. The longest Duration is 31 days, which a number of ms holds to half a nanosecond. */
function secondsAndNanos(ms: number): { seconds: number; nanos: number } {
  return { seconds: Math.floor(ms / 1_000), nanos: Math.round((ms % 1_000) * 1e6) };
}

function withLabels(labels: Labels): Resource {
  return Object.keys(labels).length > 0 ? { labels } : {};
}

function refuse(kind: string, resource: Resource, fields: string[]): void {
  for (const field of fields) {
    if (asksForSomething(resource[field])) throw unsupported(field, kind);
  }
}

/** False for an empty message, list or text, for false, for 0 and for the zero of an enum: they are the same as none. */
function asksForSomething(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) return Object.values(value).some(asksForSomething);
  return Boolean(value) && !(typeof value === 'string' && value.endsWith('_UNSPECIFIED'));
}

function unsupported(field: string, kind: string): Refusal {
  return new Refusal(
    'UNIMPLEMENTED',
    `${field} of a ${kind} is not supported by this emulator. Leave it out here.`,
  );
}
