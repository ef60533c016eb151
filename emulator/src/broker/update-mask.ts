/** Which fields an update may change, and the texts for those it may not. Paths as in the proto: snake_case. */
import { invalid, type Refusal } from './errors.ts';
import type { SubscriptionSettings, TopicSettings } from './settings.ts';
import type { SubscriptionInput, TopicInput } from './validation.ts';

type SubscriptionKey = Exclude<keyof SubscriptionSettings & keyof SubscriptionInput, 'name' | 'topic'>;

/** What a field is in the settings. Empty: the emulator has nothing of it, so nothing can change. */
type Fields<Key> = Record<string, readonly Key[] | 'fixed'>;

const subscriptionFields: Fields<SubscriptionKey> = {
  name: 'fixed',
  topic: 'fixed',
  enable_message_ordering: 'fixed',
  detached: 'fixed',
  filter: 'fixed',
  ack_deadline_seconds: ['ackDeadlineMs'],
  retain_acked_messages: ['retainsAcked'],
  message_retention_duration: ['retentionMs'],
  labels: ['labels'],
  expiration_policy: ['expirationMs'],
  dead_letter_policy: ['deadLetterPolicy'],
  retry_policy: ['retryPolicy'],
  enable_exactly_once_delivery: ['isExactlyOnce'],
  push_config: ['push', 'pushAttributes'],
  bigquery_config: [],
  cloud_storage_config: [],
  bigtable_config: [],
  message_transforms: [],
};

const topicFields: Fields<'labels' | 'retentionMs'> = {
  name: 'fixed',
  labels: ['labels'],
  message_retention_duration: ['retentionMs'],
  message_storage_policy: [],
  kms_key_name: [],
  schema_settings: [],
  ingestion_data_source_settings: [],
  message_transforms: [],
};

const snapshotFields: Fields<'labels' | 'expireTimeMs'> = {
  name: 'fixed',
  topic: 'fixed',
  labels: ['labels'],
  expire_time: ['expireTimeMs'],
};

type Kind = 'Subscription' | 'Topic' | 'Snapshot';

/**
 * Returns the settings with the fields that `paths` name taken from `input`. Where a path names a part of a field,
 * `input` has the whole field.
 *
 * @throws Refusal when the mask is empty, or names an unknown or fixed field.
 */
export function maskSubscription(
  current: SubscriptionSettings,
  input: SubscriptionInput,
  paths: readonly string[],
): SubscriptionInput {
  const { expirationMs = null, ...rest } = current;
  const changed: SubscriptionInput = { ...rest, expirationMs };
  for (const key of keysOf('Subscription', subscriptionFields, paths)) {
    Object.assign(changed, { [key]: input[key] });
  }
  const { deadLetterPolicy } = changed;
  // An empty policy takes away what there was, as none does.
  if (deadLetterPolicy?.topic === '' && deadLetterPolicy.attemptsMax === 0) delete changed.deadLetterPolicy;
  return changed;
}

/** @throws Refusal, as above. */
export function maskTopic(current: TopicSettings, input: TopicInput, paths: readonly string[]): TopicInput {
  const changed: TopicInput = { ...current };
  for (const key of keysOf('Topic', topicFields, paths)) Object.assign(changed, { [key]: input[key] });
  return changed;
}

/** Of a snapshot, its labels and its expire_time. @throws Refusal, as above. */
export function checkSnapshotMask(paths: readonly string[]): void {
  keysOf('Snapshot', snapshotFields, paths);
}

function keysOf<Key>(kind: Kind, fields: Fields<Key>, paths: readonly string[]): Key[] {
  if (paths.length === 0) {
    throw invalid(
      `The update_mask in the Update${kind}Request must be set, and must contain a non-empty paths list.`,
    );
  }
  return paths.flatMap((path) => {
    const [name = ''] = path.split('.');
    const keys = Object.hasOwn(fields, name) ? fields[name] : undefined;
    if (!keys) throw unknownField(kind, path);
    if (keys === 'fixed') throw badMask(kind, `the ${path} field in the ${kind} is not mutable.`);
    return keys;
  });
}

/** How paths are written, by an example of the service's own. */
const examples: Record<Kind, string> = {
  Subscription: "'push_config' rather than 'pushConfig'",
  Topic: "'schema_settings' rather than 'schemaSetings'",
  Snapshot: "'expire_time' rather than 'expireTime'",
};

export function unknownField(kind: Kind, path: string): Refusal {
  const hint = `Note that field paths must be of the form ${examples[kind]}.`;
  return badMask(kind, `${path} is not a known ${kind} field. ${hint}`);
}

function badMask(kind: Kind, why: string): Refusal {
  return invalid(`Invalid update_mask provided in the Update${kind}Request: ${why}`);
}
