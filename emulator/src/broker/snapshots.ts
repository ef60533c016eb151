/** Snapshots: what may be asked of them, and which change each of it is. */
import { randomUUID } from 'node:crypto';
import type { Clock } from './clock.ts';
import { Collection } from './collection.ts';
import { invalid, Refusal } from './errors.ts';
import { limits } from './limits.ts';
import { deletedTopic, projectOf } from './names.ts';
import type { Page, PageRequest } from './page.ts';
import type { Labels, SnapshotSettings } from './settings.ts';
import type { Snapshot } from './snapshot.ts';
import type { Subscription } from './subscription.ts';
import { detached, type Subscriptions } from './subscriptions.ts';
import type { ResourceDeps } from './topics.ts';
import { checkSnapshotMask } from './update-mask.ts';
import { checkLabels } from './validation.ts';

export interface SnapshotsDeps extends ResourceDeps {
  clock: Clock;
  subscriptions: Subscriptions;
  oldestUnackedMs: (subscription: Subscription) => number | undefined;
}

export class Snapshots {
  #deps: SnapshotsDeps;
  #collection: Collection<Snapshot>;

  constructor(deps: SnapshotsDeps) {
    this.#deps = deps;
    this.#collection = new Collection({
      name: 'snapshots',
      entries: deps.registry.snapshots,
      project: deps.project,
      perProjectMax: limits.snapshotsPerProject,
      exists: 'Snapshot already exists',
    });
  }

  /** Without a name it gets a random one in its subscription's project: pubsub.proto, CreateSnapshotRequest. */
  async create(input: {
    name: string;
    subscription: string;
    labels?: Labels | undefined;
  }): Promise<SnapshotSettings> {
    const name = input.name || `projects/${projectOf(input.subscription)}/snapshots/snapshot-${randomUUID()}`;
    this.#collection.checkNew(name);
    const subscription = this.#deps.subscriptions.get(input.subscription);
    if (subscription.settings.isDetached) throw detached(input.subscription);
    const settings: SnapshotSettings = {
      name,
      topic: subscription.settings.topic,
      labels: checkLabels(input.labels ?? {}),
      expireTimeMs: this.#expireTimeMs(subscription),
    };
    const done = subscription.progress.done.state();
    await this.#deps.commit({
      type: 'snapshot',
      state: { settings, topic: subscription.topic.number, done },
    });
    return settings;
  }

  /** Seven days less the age of its oldest message: https://cloud.google.com/pubsub/docs/replay-overview */
  #expireTimeMs(subscription: Subscription): number {
    const now = this.#deps.clock.now();
    const since = this.#deps.oldestUnackedMs(subscription) ?? now;
    const expireTimeMs = since + limits.snapshotSeconds * 1_000;
    if (expireTimeMs - now >= limits.snapshotSecondsMin * 1_000) return expireTimeMs;
    const why = `The oldest unacked message of ${subscription.settings.name} is from ${new Date(since).toISOString()}`;
    throw new Refusal('FAILED_PRECONDITION', `${why}, so the snapshot would expire within an hour.`);
  }

  /** @throws Refusal */
  get(name: string): Snapshot {
    return this.#collection.get(name);
  }

  /** As it is shown: with its topic's name, or that of a deleted one. */
  settingsOf({ settings, topic }: Snapshot): SnapshotSettings {
    const isDeleted = this.#deps.registry.topicsByNumber.get(topic)?.isDeleted ?? true;
    return isDeleted ? { ...settings, topic: deletedTopic } : settings;
  }

  async update(
    input: {
      name: string;
      labels?: Labels | undefined;
      expireTime?: { ms: number; nanos: number } | undefined;
    },
    paths: readonly string[],
  ): Promise<SnapshotSettings> {
    const snapshot = this.get(input.name);
    checkSnapshotMask(paths);
    const settings = { ...snapshot.settings };
    if (paths.includes('labels')) settings.labels = checkLabels(input.labels ?? {});
    if (paths.includes('expire_time')) {
      const now = this.#deps.clock.now();
      const latest = now + limits.snapshotSeconds * 1_000;
      const { ms, nanos } = input.expireTime ?? { ms: 0, nanos: 0 };
      if (ms <= now || ms > latest) {
        throw invalid('expire_time must be in the future and at most 7 days away');
      }
      settings.expireTimeMs = ms;
      settings.expireTimeNanos = nanos;
    }
    await this.#deps.commit({ type: 'snapshot-settings', settings });
    return this.settingsOf(snapshot);
  }

  async delete(name: string): Promise<void> {
    this.get(name);
    await this.#deps.commit({ type: 'snapshot-deleted', name });
  }

  list(project: string, page: PageRequest): Page<SnapshotSettings> {
    return this.#collection.list(project, page, (snapshot) => this.settingsOf(snapshot));
  }
}
