/** Which fields an update may change, and the texts for those it may not. Paths as in the proto: snake_case. */
import { invalid, Refusal } from './errors.ts';
import type { SubscriptionSettings, TopicSettings } from './settings.ts';
import type { SubscriptionInput, TopicInput } from './validation.ts';

type SubscriptionKey = keyof SubscriptionSettings & keyof SubscriptionInput;

const subscriptionFields: Record<string, SubscriptionKey | 'fixed'> = {
  name: 'fixed',
  topic: 'fixed',
  enable_message_ordering: 'fixed',
  detached: 'fixed',
  filter: 'fixed',
  ack_deadline_seconds: 'ackDeadlineMs',
  retain_acked_messages: 'retainsAcked',
  message_retention_duration: 'retentionMs',
  labels: 'labels',
  expiration_policy: 'expirationMs',
  dead_letter_policy: 'deadLetterPolicy',
  retry_policy: 'retryPolicy',
  enable_exactly_once_delivery: 'isExactlyOnce',
  push_config: 'push',
};

const topicFields: Record<string, keyof TopicSettings | 'fixed'> = {
  name: 'fixed',
  labels: 'labels',
  message_retention_duration: 'retentionMs',
};

/** @throws Refusal when the mask is empty or names what is not there or cannot be changed. */
export function maskSubscription(
  current: SubscriptionSettings,
  input: SubscriptionInput,
  paths: readonly string[],
): SubscriptionInput {
  checkPaths('Subscription', subscriptionFields, paths, ["'push_config'", "'pushConfig'"]);
  const { expirationMs = null, ...rest } = current;
  const changed: SubscriptionInput = { ...rest, expirationMs };
  for (const path of paths) {
    const key = subscriptionFields[path] as Exclude<SubscriptionKey, 'name' | 'topic'>;
    Object.assign(changed, { [key]: input[key] });
  }
  const { deadLetterPolicy } = changed;
  // An empty policy takes away what there was, as none does.
  if (deadLetterPolicy?.topic === '' && deadLetterPolicy.attemptsMax === 0) delete changed.deadLetterPolicy;
  return changed;
}

/** @throws Refusal, as above. */
export function maskTopic(current: TopicSettings, input: TopicInput, paths: readonly string[]): TopicInput {
  checkPaths('Topic', topicFields, paths, ["'schema_settings'", "'schemaSetings'"]);
  const changed: TopicInput = { ...current };
  for (const path of paths) {
    if (path === 'labels') changed.labels = input.labels;
    else if (path === 'message_retention_duration') changed.retentionMs = input.retentionMs;
  }
  return changed;
}

/** Of a snapshot, its labels and its expire_time. @throws Refusal, as above. */
export function checkSnapshotMask(paths: readonly string[]): void {
  const fields = { name: 'fixed', topic: 'fixed', labels: 'labels', expire_time: 'expireTimeMs' };
  checkPaths('Snapshot', fields, paths, ["'expire_time'", "'expireTime'"]);
}

function checkPaths(
  kind: string,
  fields: Record<string, string>,
  paths: readonly string[],
  [right, wrong]: [right: string, wrong: string],
): void {
  const request = `Update${kind}Request`;
  if (paths.length === 0) {
    throw invalid(`The update_mask in the ${request} must be set, and must contain a non-empty paths list.`);
  }
  for (const path of paths) {
    // A path such as `constructor` is no field, although every object has one.
    const field = Object.hasOwn(fields, path) ? fields[path] : undefined;
    const bad = `Invalid update_mask provided in the ${request}:`;
    if (field === 'fixed') throw invalid(`${bad} the ${path} field in the ${kind} is not mutable.`);
    if (field) continue;
    if (unsupported[kind]?.includes(path)) {
      throw new Refusal('UNIMPLEMENTED', `${path} of a ${kind} is not supported by this emulator.`);
    }
    const hint = `Note that field paths must be of the form ${right} rather than ${wrong}.`;
    throw invalid(`${bad} ${path} is not a known ${kind} field. ${hint}`);
  }
}

const unsupported: Record<string, string[]> = {
  Topic: [
    'message_storage_policy',
    'kms_key_name',
    'schema_settings',
    'ingestion_data_source_settings',
    'message_transforms',
  ],
  Subscription: ['bigquery_config', 'cloud_storage_config', 'bigtable_config', 'message_transforms'],
};
