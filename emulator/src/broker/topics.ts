/** Topics: what may be asked of them, and which change each of it is. */
import { Collection } from './collection.ts';
import { limits } from './limits.ts';
import { type Page, type PageRequest, pageOf } from './page.ts';
import type { Change, Registry } from './registry.ts';
import type { TopicSettings } from './settings.ts';
import type { Topic } from './topic.ts';
import { maskTopic } from './update-mask.ts';
import { completeTopic, type TopicInput } from './validation.ts';

/** What topics, subscriptions, snapshots and seeks stand on. */
export interface ResourceDeps {
  registry: Registry;
  /** The only project served; undefined: any. */
  project: string | undefined;
  /** Applies a change, appends it to the log, and resolves when it is on disk. */
  commit: (change: Change) => Promise<void>;
}

export class Topics {
  #deps: ResourceDeps;
  #collection: Collection<Topic>;

  constructor(deps: ResourceDeps) {
    this.#deps = deps;
    this.#collection = new Collection({
      name: 'topics',
      entries: deps.registry.topics,
      project: deps.project,
      perProjectMax: limits.topicsPerProject,
      exists: 'Topic already exists',
    });
  }

  async create(input: TopicInput): Promise<TopicSettings> {
    this.#collection.checkNew(input.name);
    const settings = completeTopic(input);
    await this.#deps.commit({ type: 'topic', number: this.#deps.registry.lastNumber + 1, settings });
    return settings;
  }

  /** @throws Refusal */
  get(name: string): Topic {
    return this.#collection.get(name);
  }

  async update(input: TopicInput, paths: readonly string[]): Promise<TopicSettings> {
    const topic = this.get(input.name);
    const settings = completeTopic(maskTopic(topic.settings, input, paths));
    await this.#deps.commit({ type: 'topic', number: topic.number, settings });
    return settings;
  }

  async delete(name: string): Promise<void> {
    await this.#deps.commit({ type: 'topic-deleted', number: this.get(name).number });
  }

  /** @throws Refusal when there can be nothing in a project of that name. */
  checkProject(project: string): void {
    this.#collection.checkProject(project);
  }

  list(project: string, page: PageRequest): Page<TopicSettings> {
    return this.#collection.list(project, page, ({ settings }) => settings);
  }

  listSubscriptions(name: string, page: PageRequest): Page<{ name: string }> {
    const attached = [...this.get(name).subscriptions].filter(({ settings }) => !settings.isDetached);
    return pageOf(
      attached.map(({ settings }) => ({ name: settings.name })),
      'projects/',
      page,
    );
  }

  listSnapshots(name: string, page: PageRequest): Page<{ name: string }> {
    const { number } = this.get(name);
    const snapshots = [...this.#deps.registry.snapshots.values()].filter(({ topic }) => topic === number);
    return pageOf(
      snapshots.map(({ settings }) => ({ name: settings.name })),
      'projects/',
      page,
    );
  }
}
