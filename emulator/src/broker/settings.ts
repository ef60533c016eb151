/** What topics, subscriptions and snapshots are set to, in the broker's own terms. Kept on disk as JSON. */
import type { RetryPolicy } from './retry-policy.ts';

export type Labels = Record<string, string>;

export interface TopicSettings {
  name: string;
  labels: Labels;
  /** Keeps messages that long, also acked ones. */
  retentionMs?: number;
}

export interface DeadLetterPolicy {
  topic: string;
  attemptsMax: number;
}

/** Where messages are POSTed to. https://cloud.google.com/pubsub/docs/push */
export interface PushSettings {
  endpoint: string;
  attributes: Record<string, string>;
  /** The message's data is the body, and not wrapped in JSON. */
  isUnwrapped: boolean;
  /** Unwrapped: attributes and metadata are headers. */
  writesMetadata: boolean;
}

export interface SubscriptionSettings {
  name: string;
  topic: string;
  labels: Labels;
  ackDeadlineMs: number;
  retainsAcked: boolean;
  retentionMs: number;
  isOrdered: boolean;
  isExactlyOnce: boolean;
  filter: string;
  /** Undefined: never. */
  expirationMs?: number;
  deadLetterPolicy?: DeadLetterPolicy;
  retryPolicy?: RetryPolicy;
  isDetached: boolean;
  /** Undefined: messages are pulled. */
  push?: PushSettings;
  /** Attributes of the push config while messages are pulled: they count from when there is an endpoint. */
  pushAttributes?: Record<string, string>;
}

export interface SnapshotSettings {
  name: string;
  topic: string;
  labels: Labels;
  expireTimeMs: number;
  /** What it is later than that, below a millisecond. */
  expireTimeNanos?: number;
}
