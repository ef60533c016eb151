/**
 * Topics and subscriptions that are there before the port answers: JSON in the shape of the REST resources,
 * `{"topics": [{"name": …}], "subscriptions": [{"name": …, "topic": …, …}]}`. A name may be short (`orders`) when a
 * project is given. What exists already stays as it is; a setting that differs is an error, never a silent change.
 */
import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import type { Broker } from './broker/broker.ts';
import { Refusal } from './broker/errors.ts';
import { completeSubscription, completeTopic } from './broker/validation.ts';
import { textOf } from './methods/fields.ts';
import { messageType } from './methods/protos.ts';
import { readMessage } from './methods/read-json.ts';
import { type Resource, readSubscription, readTopic } from './resources.ts';

const types = { topics: 'Topic', subscriptions: 'Subscription' } as const;

/** `source` is JSON, or the path of a file with it. @throws Error that says what is wrong in which declaration. */
export async function declare(
  broker: Broker,
  source: string,
  project: string | undefined,
): Promise<{ topics: number; subscriptions: number }> {
  const { topics, subscriptions } = read(source);
  await declareEach(source, 'topics', topics, async (topic) => {
    const input = readTopic({ ...topic, name: fullName('topics', topic.name, project) });
    const existing = broker.registry.topics.get(input.name)?.settings;
    if (existing) refuseConflict(existing, completeTopic(input));
    else await broker.topics.create(input);
  });
  await declareEach(source, 'subscriptions', subscriptions, async (subscription) => {
    const input = readSubscription(withFullNames(subscription, project));
    const existing = broker.registry.subscriptions.get(input.name)?.settings;
    if (existing) refuseConflict(existing, completeSubscription(input));
    else await broker.subscriptions.create(input);
  });
  return { topics: topics.length, subscriptions: subscriptions.length };
}

async function declareEach(
  source: string,
  collection: keyof typeof types,
  resources: readonly Resource[],
  declareOne: (resource: Resource) => Promise<void>,
): Promise<void> {
  for (const [position, resource] of resources.entries()) {
    try {
      await declareOne(resource);
    } catch (cause) {
      const name = textOf(resource.name);
      throw bad(source, cause, `${collection}[${position}]${name === '' ? '' : ` (${name})`}: `);
    }
  }
}

function read(source: string): Record<keyof typeof types, Resource[]> {
  try {
    const text = isText(source) ? source : readFileSync(source, 'utf8');
    const given: Record<string, unknown> | null = JSON.parse(text);
    if (typeof given !== 'object' || given === null || Array.isArray(given)) {
      throw new Error('wants an object with topics and subscriptions');
    }
    for (const key of Object.keys(given)) {
      if (!Object.hasOwn(types, key)) throw new Error(`Unrecognized key: "${key}"`);
    }
    return { topics: readEach('topics', given), subscriptions: readEach('subscriptions', given) };
  } catch (cause) {
    throw bad(source, cause);
  }
}

function isText(source: string): boolean {
  return source.trimStart().startsWith('{');
}

/** A refusal keeps its code, by which a reset over HTTP is answered. */
function bad(source: string, cause: unknown, place = ''): Error {
  const where = isText(source) ? '' : ` in ${source}`;
  const message = `Bad declarations${where}: ${place}${(cause as Error).message}`;
  return cause instanceof Refusal
    ? new Refusal(cause.code, message, { cause })
    : new Error(message, { cause });
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

function refuseConflict<Settings extends object>(existing: Settings, declared: Settings): void {
  for (const key of Object.keys({ ...existing, ...declared }) as (keyof Settings)[]) {
    if (isDeepStrictEqual(existing[key], declared[key])) continue;
    throw new Error(
      `it exists with ${String(key)} ${JSON.stringify(existing[key])}, but ${JSON.stringify(declared[key])} is declared. Update or delete it, or correct the declaration.`,
    );
  }
}
