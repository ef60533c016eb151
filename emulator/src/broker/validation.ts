/** Defaults and bounds of settings, by the comments in google/pubsub/v1/pubsub.proto. Texts as Google's emulator has them. */
import { invalid, Refusal } from './errors.ts';
import { parseFilter } from './filter.ts';
import { limits } from './limits.ts';
import { checkName } from './names.ts';
import type { RetryPolicy } from './retry-policy.ts';
import type {
  DeadLetterPolicy,
  Labels,
  PushSettings,
  SubscriptionSettings,
  TopicSettings,
} from './settings.ts';

/** A subscription as a client asks for it: what is left out gets its default. */
export type SubscriptionInput = Pick<SubscriptionSettings, 'name' | 'topic'> & {
  [Key in Exclude<keyof SubscriptionSettings, 'name' | 'topic' | 'retryPolicy' | 'expirationMs'>]?:
    | SubscriptionSettings[Key]
    | undefined;
} & {
  retryPolicy?: { minimumBackoffMs?: number | undefined; maximumBackoffMs?: number | undefined } | undefined;
  /** null: never. */
  expirationMs?: number | null | undefined;
};

export interface TopicInput {
  name: string;
  labels?: Labels | undefined;
  retentionMs?: number | undefined;
}

/** @throws Refusal */
export function completeTopic(input: TopicInput): TopicSettings {
  checkName('topics', input.name);
  const settings: TopicSettings = { name: input.name, labels: checkLabels(input.labels ?? {}) };
  if (input.retentionMs !== undefined) settings.retentionMs = checkRetention(input.retentionMs);
  return settings;
}

/** @throws Refusal */
export function completeSubscription(input: SubscriptionInput): SubscriptionSettings {
  checkName('subscriptions', input.name);
  const retentionMs = checkRetention(input.retentionMs ?? limits.retentionSecondsDefault * 1_000);
  const settings: SubscriptionSettings = {
    name: input.name,
    topic: input.topic,
    labels: checkLabels(input.labels ?? {}),
    ackDeadlineMs: checkAckDeadline(input.ackDeadlineMs || limits.ackDeadlineSecondsMin * 1_000),
    retainsAcked: input.retainsAcked ?? false,
    retentionMs,
    isOrdered: input.isOrdered ?? false,
    isExactlyOnce: input.isExactlyOnce ?? false,
    filter: checkFilter(input.filter ?? ''),
    isDetached: input.isDetached ?? false,
  };
  const expirationMs = checkExpiration(input.expirationMs, retentionMs);
  if (expirationMs !== undefined) settings.expirationMs = expirationMs;
  if (input.deadLetterPolicy) settings.deadLetterPolicy = checkDeadLetterPolicy(input.deadLetterPolicy);
  if (input.retryPolicy) settings.retryPolicy = checkRetryPolicy(input.retryPolicy);
  if (input.push) settings.push = checkPush(input.push, settings);
  else if (input.pushAttributes) settings.pushAttributes = checkPushAttributes(input.pushAttributes);
  return settings;
}

/** White space alone is an empty filter, and lets everything through. */
function checkFilter(filter: string): string {
  if (filter.trim() === '') return '';
  parseFilter(filter);
  return filter;
}

function checkAckDeadline(ms: number): number {
  const isOutOfBounds =
    ms < limits.ackDeadlineSecondsMin * 1_000 || ms > limits.ackDeadlineSecondsMax * 1_000;
  if (isOutOfBounds) throw invalid('ack_deadline_secs out of bounds');
  return ms;
}

function checkRetention(ms: number): number {
  const isOutOfBounds = ms < limits.retentionSecondsMin * 1_000 || ms > limits.retentionSecondsMax * 1_000;
  if (isOutOfBounds) throw invalid('message_retention_duration out of bounds');
  return ms;
}

function checkExpiration(ms: number | null | undefined, retentionMs: number): number | undefined {
  if (ms === null) return undefined;
  if (ms === undefined) return limits.expirationSecondsDefault * 1_000;
  if (ms < limits.expirationSecondsMin * 1_000) throw invalid('expiration_policy.ttl out of bounds');
  if (ms < retentionMs)
    throw invalid('expiration_policy.ttl must not be less than message_retention_duration');
  return ms;
}

function checkDeadLetterPolicy(policy: DeadLetterPolicy): DeadLetterPolicy {
  const attemptsMax = policy.attemptsMax || limits.deliveryAttemptsDefault;
  if (attemptsMax < limits.deliveryAttemptsMin) {
    throw outOfRange(
      'max_delivery_attempts is too small',
      `${attemptsMax}`,
      limits.deliveryAttemptsMin,
      'minimum',
    );
  }
  if (attemptsMax > limits.deliveryAttemptsMax) {
    throw outOfRange(
      'max_delivery_attempts is too large',
      `${attemptsMax}`,
      limits.deliveryAttemptsMax,
      'maximum',
    );
  }
  return { topic: policy.topic, attemptsMax };
}

function outOfRange(what: string, passed: string, bound: number, which: 'minimum' | 'maximum') {
  const text = `The value for ${what}. You passed ${passed} in the request, but the ${which} value is ${bound}.`;
  return new Refusal('OUT_OF_RANGE', text);
}

function checkRetryPolicy(policy: NonNullable<SubscriptionInput['retryPolicy']>): RetryPolicy {
  const minimumBackoffMs = policy.minimumBackoffMs ?? limits.backoffSecondsMinDefault * 1_000;
  const maximumBackoffMs = policy.maximumBackoffMs ?? limits.backoffSecondsMaxDefault * 1_000;
  for (const [name, ms] of [
    ['minimum_backoff', minimumBackoffMs],
    ['maximum_backoff', maximumBackoffMs],
  ] as const) {
    if (ms >= 0 && ms <= limits.backoffSecondsMax * 1_000) continue;
    const bounds = `the value must be between 0s and ${limits.backoffSecondsMax}s`;
    throw invalid(
      `The value for ${name} is out of bounds. You passed ${ms / 1_000}s in the request, but ${bounds}.`,
    );
  }
  if (maximumBackoffMs < minimumBackoffMs) {
    const passed = `You passed ${maximumBackoffMs / 1_000}s in the request, but the minimum value is ${minimumBackoffMs / 1_000}s.`;
    throw invalid(`The value for maximum_backoff is too small. ${passed}`);
  }
  return { minimumBackoffMs, maximumBackoffMs };
}

function checkPush(push: PushSettings, { isExactlyOnce }: SubscriptionSettings): PushSettings {
  const endpoint = checkEndpoint(push.endpoint);
  // https://cloud.google.com/pubsub/docs/exactly-once-delivery
  if (isExactlyOnce) throw invalid('Exactly-once delivery is not supported for push subscriptions.');
  const attributes = checkPushAttributes(push.attributes);
  if (attributes[pushVersion] === 'v1beta1') {
    throw new Refusal(
      'UNIMPLEMENTED',
      `${pushVersion}=v1beta1 of a PushConfig is not supported by this emulator: it pushes in the format of v1.`,
    );
  }
  return { ...push, endpoint, attributes };
}

/** The one attribute of a PushConfig: the format of what is pushed. v1beta2 is that of v1: pubsub.proto, PushConfig. */
export const pushVersion = 'x-goog-version';
const pushVersions = ['v1', 'v1beta2', 'v1beta1'];

function checkPushAttributes(attributes: Record<string, string>): Record<string, string> {
  for (const [key, value] of Object.entries(attributes)) {
    if (key === pushVersion && pushVersions.includes(value)) continue;
    throw invalid(`Unsupported push_config attribute ${key}=${value}; ${pushVersion}=v1 is the only one.`);
  }
  return attributes;
}

/**
 * With its scheme in lower case, by which the pusher tells https from http: `HTTPS://` is the same, RFC 3986 section
 * 3.1. URL.parse would also take white space around and within it.
 */
function checkEndpoint(endpoint: string): string {
  const [, scheme = '', rest = ''] = /^(https?)(:\/\/\S+)$/i.exec(endpoint) ?? [];
  const url = `${scheme.toLowerCase()}${rest}`;
  if (!URL.canParse(url)) throw invalid('Unsupported push_endpoint');
  return url;
}

/** https://cloud.google.com/pubsub/docs/create-topic#labels: 64; a lower-case letter first; 63 characters each. */
export function checkLabels(labels: Labels): Labels {
  const entries = Object.entries(labels);
  if (entries.length > limits.labelsPerResource) {
    throw invalid(`Too many labels: ${entries.length}; at most ${limits.labelsPerResource} are allowed.`);
  }
  for (const [key, value] of entries) {
    if (!/^[\p{Ll}\p{Lo}][\p{Ll}\p{Lo}\p{N}_-]{0,62}$/u.test(key)) throw invalid(`Invalid label key: ${key}`);
    if (!/^[\p{Ll}\p{Lo}\p{N}_-]{0,63}$/u.test(value)) throw invalid(`Invalid label value: ${value}`);
  }
  return labels;
}
