/**
 * Topics and subscriptions that are there before the port answers: JSON in the shape of the REST resources,
 * `{"topics": [{"name": …}], "subscriptions": [{"name": …, "topic": …, …}]}`. A name may be short (`orders`) when a
 * project is given. What exists already stays as it is; a setting that differs is an error, never a silent change.
 */
import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import type { Broker } from './broker/broker.ts';
import { completeSubscription, completeTopic } from './broker/validation.ts';
import { textOf } from './methods/fields.ts';
import { messageType } from './methods/protos.ts';
import { readMessage } from './methods/read-json.ts';
import { type Resource, readSubscription, readTopic } from './resources.ts';

const types = { topics: 'Topic', subscriptions: 'Subscription' } as const;

/** `source` is JSON, or the path of a file with it. @throws Error that says what is wrong where. */
export async function declare(
  broker: Broker,
  source: string,
  project: string | undefined,
): Promise<{ topics: number; subscriptions: number }> {
  const { topics, subscriptions } = read(source);
  for (const topic of topics) {
    const input = readTopic({ ...topic, name: fullName('topics', topic.name, project) });
    const existing = broker.registry.topics.get(input.name)?.settings;
    if (existing) refuseConflict(existing, completeTopic(input));
    else await broker.topics.create(input);
  }
  for (const subscription of subscriptions) {
    const input = readSubscription(withFullNames(subscription, project));
    const existing = broker.registry.subscriptions.get(input.name)?.settings;
    if (existing) refuseConflict(existing, completeSubscription(input));
    else await broker.subscriptions.create(input);
  }
  return { topics: topics.length, subscriptions: subscriptions.length };
}

function read(source: string): Record<keyof typeof types, Resource[]> {
  const isText = source.trimStart().startsWith('{');
  const text = isText ? source : readFileSync(source, 'utf8');
  try {
    const given: Record<string, unknown> | null = JSON.parse(text);
    if (typeof given !== 'object' || given === null || Array.isArray(given)) {
      throw new Error('wants an object with topics and subscriptions');
    }
    for (const key of Object.keys(given)) {
      if (!Object.hasOwn(types, key)) throw new Error(`Unrecognized key: "${key}"`);
    }
    return { topics: readEach('topics', given), subscriptions: readEach('subscriptions', given) };
  } catch (cause) {
    const where = isText ? '' : ` in ${source}`;
    throw new Error(`Bad declarations${where}: ${(cause as Error).message}`, { cause });
  }
}

function readEach(collection: keyof typeof types, given: Record<string, unknown>): Resource[] {
  const resources = given[collection] ?? [];
  if (!Array.isArray(resources)) throw new Error(`${collection}: wants an array`);
  const type = messageType(types[collection]);
  return resources.map((one, position) => readMessage(type, one, `${collection}[${position}]`));
}

function withFullNames(subscription: Resource, project: string | undefined): Resource {
  const policy = subscription.deadLetterPolicy as Resource | undefined;
  return {
    ...subscription,
    name: fullName('subscriptions', subscription.name, project),
    topic: fullName('topics', subscription.topic, project),
    ...(policy && {
      deadLetterPolicy: {
        ...policy,
        deadLetterTopic: fullName('topics', policy.deadLetterTopic, project),
      },
    }),
  };
}

function fullName(collection: string, given: unknown, project: string | undefined): string {
  const name = textOf(given);
  return name.includes('/') || project === undefined ? name : `projects/${project}/${collection}/${name}`;
}

function refuseConflict<Settings extends { name: string }>(existing: Settings, declared: Settings): void {
  for (const key of Object.keys({ ...existing, ...declared }) as (keyof Settings)[]) {
    if (isDeepStrictEqual(existing[key], declared[key])) continue;
    throw new Error(
      `${declared.name} exists with ${String(key)} ${JSON.stringify(existing[key])}, but ${JSON.stringify(declared[key])} is declared. Update or delete it, or correct the declaration.`,
    );
  }
}
