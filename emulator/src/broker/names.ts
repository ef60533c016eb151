/** Names of resources: https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names */
import { invalid, Refusal } from './errors.ts';

export type CollectionName = 'topics' | 'subscriptions' | 'snapshots';

/** 3 to 255 characters, a letter first; not beginning with `goog`. */
const idPattern = /^(?!goog)[A-Za-z][A-Za-z0-9._~+%-]{2,254}$/;
/**
 * The service's ids and numbers, also those of a domain (example.com:project), and beyond them what programs call their
 * projects on an emulator: short, with capitals or underscores. None of it needs an escape in a URL, a metric or JSON.
 * https://cloud.google.com/resource-manager/docs/creating-managing-projects
 */
const projectPattern = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,62}$/;

/** What a subscription shows in place of a topic that is gone. */
export const deletedTopic = '_deleted-topic_';

/** @throws Refusal when `name` is no name of that collection. */
export function checkName(collection: CollectionName, name: string): void {
  const [projects, project, kind, id, ...rest] = name.split('/');
  const isName =
    projects === 'projects' && isProjectId(project ?? '') && kind === collection && rest.length === 0;
  if (!isName || id === undefined || !idPattern.test(id)) {
    throw invalid(`Invalid [${collection}] name: (name=${name})`);
  }
}

/** @throws Refusal when `name` is no `projects/…`. */
export function checkProject(name: string): void {
  const [projects, project = '', ...rest] = name.split('/');
  if (projects === 'projects' && isProjectId(project) && rest.length === 0) return;
  throw invalid(`Invalid [projects] name: (name=${name})`);
}

export function isProjectId(text: string): boolean {
  return projectPattern.test(text);
}

export function projectOf(name: string): string {
  return name.split('/')[1] ?? '';
}

export function idOf(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1);
}

/**
 * Returns the refusal of a name that nothing has, in the service's words:
 * https://github.com/googleapis/google-cloud-ruby/blob/main/google-cloud-pubsub/test/helper.rb
 */
export function notFound(name: string): Refusal {
  return new Refusal('NOT_FOUND', `Resource not found (resource=${idOf(name)}).`);
}

/** @throws Refusal when the emulator serves one project only, and `name` is in another. */
export function checkServed(name: string, project: string | undefined): void {
  if (project === undefined || projectOf(name) === project) return;
  throw new Refusal('NOT_FOUND', `Invalid (project=${projectOf(name)}) out of valid projects [${project}].`);
}
