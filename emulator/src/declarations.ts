/**
 * Topics and subscriptions that are there before the port answers: JSON in the shape of the REST resources,
 * `{"topics": [{"name": …}], "subscriptions": [{"name": …, "topic": …, …}]}`. A name may be short (`orders`) when a
 * project is given. What exists already stays as it is; a setting that differs is an error, never a silent change.
 */
import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import type { Broker } from './broker/broker.ts';
import { completeSubscription, completeTopic } from './broker/validation.ts';
import { type Resource, readSubscription, readTopic } from './resources.ts';

const resource = z.record(z.string(), z.unknown()).and(z.object({ name: z.string() }));
const schema = z.strictObject({
  topics: z.array(resource).default([]),
  subscriptions: z.array(resource.and(z.object({ topic: z.string() }))).default([]),
});

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

function read(source: string): z.output<typeof schema> {
  const isText = source.trimStart().startsWith('{');
  const text = isText ? source : readFileSync(source, 'utf8');
  const result = schema.safeParse(JSON.parse(text));
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new Error(
    `Bad declarations${isText ? '' : ` in ${source}`}: ${issue?.path.join('.')}: ${issue?.message}`,
  );
}

function withFullNames(subscription: Resource, project: string | undefined): Resource {
  const policy = subscription.deadLetterPolicy as Resource | undefined;
  return {
    ...subscription,
    name: fullName('subscriptions', String(subscription.name), project),
    topic: fullName('topics', String(subscription.topic), project),
    ...(policy && {
      deadLetterPolicy: {
        ...policy,
        deadLetterTopic: fullName('topics', String(policy.deadLetterTopic), project),
      },
    }),
  };
}

function fullName(collection: string, name: string, project: string | undefined): string {
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
