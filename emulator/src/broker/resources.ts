/** Create, get, list, update and delete, seek and detach: what is allowed, and which change each of them is. */
import type { Clock } from './clock.ts';
import { invalid, Refusal } from './errors.ts';
import { limits } from './limits.ts';
import { checkName, checkProject, checkServed, deletedTopic, projectOf } from './names.ts';
import { type PageRequest, pageOf } from './page.ts';
import type { Change, Registry } from './registry.ts';
import { SequenceSet } from './sequence-set.ts';
import type { Labels, SnapshotSettings, SubscriptionSettings, TopicSettings } from './settings.ts';
import type { Snapshot } from './snapshots.ts';
import type { Subscription } from './subscription.ts';
import type { Topic } from './topic.ts';
import { checkSnapshotMask, maskSubscription, maskTopic } from './update-mask.ts';
import {
  checkLabels,
  completeSubscription,
  completeTopic,
  type SubscriptionInput,
  type TopicInput,
} from './validation.ts';

export interface ResourcesDeps {
  registry: Registry;
  clock: Clock;
  project: string | undefined;
  /** Applies a change and appends it to the log. */
  change: (change: Change) => void;
  /** Resolves when it is on disk. */
  committed: () => Promise<void>;
  firstSince: (topic: number, timeMs: number) => Promise<number | undefined>;
  firstKept: (topic: number) => number | undefined;
  oldestUnackedMs: (subscription: Subscription) => number | undefined;
}

export class Resources {
  #deps: ResourcesDeps;
  #registry: Registry;

  constructor(deps: ResourcesDeps) {
    this.#deps = deps;
    this.#registry = deps.registry;
  }

  async createTopic(input: TopicInput): Promise<TopicSettings> {
    const settings = completeTopic(input);
    checkServed(settings.name, this.#deps.project);
    if (this.#registry.topics.has(settings.name)) throw new Refusal('ALREADY_EXISTS', 'Topic already exists');
    this.#checkCount('topics', this.#registry.topics, settings.name, limits.topicsPerProject);
    await this.#commit({ type: 'topic', number: this.#registry.lastNumber + 1, settings });
    return settings;
  }

  /** @throws Refusal */
  topic(name: string): Topic {
    checkName('topics', name);
    checkServed(name, this.#deps.project);
    const topic = this.#registry.topics.get(name);
    if (!topic) throw new Refusal('NOT_FOUND', 'Topic not found');
    return topic;
  }

  async updateTopic(input: TopicInput, paths: readonly string[]): Promise<TopicSettings> {
    const topic = this.#registry.topics.get(input.name);
    if (!topic) throw new Refusal('NOT_FOUND', 'Topic not found.');
    const settings = completeTopic(maskTopic(topic.settings, input, paths));
    await this.#commit({ type: 'topic', number: topic.number, settings });
    return settings;
  }

  async deleteTopic(name: string): Promise<void> {
    await this.#commit({ type: 'topic-deleted', number: this.topic(name).number });
  }

  listTopics(project: string, page: PageRequest) {
    this.#checkProject(project);
    const topics = [...this.#registry.topics.values()].map(({ settings }) => settings);
    return this.#page(topics, project, page, 'topics');
  }

  listTopicSubscriptions(topicName: string, page: PageRequest) {
    const names = [...this.topic(topicName).subscriptions]
      .filter(({ settings }) => !settings.isDetached)
      .map(({ settings }) => ({ name: settings.name }));
    return pageOf(names, 'projects/', page);
  }

  listTopicSnapshots(topicName: string, page: PageRequest) {
    const { number } = this.topic(topicName);
    const names = [...this.#registry.snapshots.values()]
      .filter(({ topic }) => topic === number)
      .map(({ settings }) => ({ name: settings.name }));
    return pageOf(names, 'projects/', page);
  }

  async createSubscription(input: SubscriptionInput): Promise<SubscriptionSettings> {
    checkName('subscriptions', input.name);
    checkServed(input.name, this.#deps.project);
    checkName('topics', input.topic);
    if (this.#registry.subscriptions.has(input.name)) {
      throw new Refusal('ALREADY_EXISTS', 'Subscription already exists');
    }
    const topic = this.#registry.topics.get(input.topic);
    if (!topic) throw new Refusal('NOT_FOUND', 'Subscription topic does not exist');
    if (topic.subscriptions.size >= limits.subscriptionsPerTopic) {
      throw tooMany('subscriptions of a topic', limits.subscriptionsPerTopic);
    }
    const existing = this.#registry.subscriptions;
    this.#checkCount('subscriptions', existing, input.name, limits.subscriptionsPerProject);
    const settings = this.#completeSubscription({ ...input, isDetached: false });
    const number = this.#registry.lastNumber + 1;
    await this.#commit({
      type: 'subscription',
      number,
      topic: topic.number,
      settings,
      start: topic.next - 1,
    });
    return settings;
  }

  #completeSubscription(input: SubscriptionInput): SubscriptionSettings {
    const settings = completeSubscription(input);
    const { deadLetterPolicy } = settings;
    if (deadLetterPolicy && !this.#registry.topics.has(deadLetterPolicy.topic)) {
      throw new Refusal('NOT_FOUND', 'Dead letter topic not found');
    }
    return settings;
  }

  /** @throws Refusal */
  subscription(name: string): Subscription {
    checkName('subscriptions', name);
    checkServed(name, this.#deps.project);
    const subscription = this.#registry.subscriptions.get(name);
    if (!subscription) throw new Refusal('NOT_FOUND', 'Subscription does not exist');
    return subscription;
  }

  async updateSubscription(
    input: SubscriptionInput,
    paths: readonly string[],
  ): Promise<SubscriptionSettings> {
    const subscription = this.#registry.subscriptions.get(input.name);
    if (!subscription) throw new Refusal('NOT_FOUND', 'Subscription not found.');
    const masked = maskSubscription(subscription.settings, input, paths);
    const settings = paths.includes('dead_letter_policy')
      ? this.#completeSubscription(masked)
      : completeSubscription(masked);
    await this.#commitSettings(subscription, settings);
    if (settings.push) subscription.fail(isPush(settings.name));
    subscription.wake();
    return settings;
  }

  async deleteSubscription(name: string): Promise<void> {
    const subscription = this.subscription(name);
    await this.#commit({ type: 'subscription-deleted', number: subscription.number });
    subscription.fail(new Refusal('NOT_FOUND', `Subscription does not exist (resource=${idIn(name)})`));
  }

  async detachSubscription(name: string): Promise<void> {
    const subscription = this.subscription(name);
    await this.#commitSettings(subscription, { ...subscription.settings, isDetached: true });
    subscription.fail(detached(name));
  }

  listSubscriptions(project: string, page: PageRequest) {
    this.#checkProject(project);
    const subscriptions = [...this.#registry.subscriptions.values()].map(({ settings }) => settings);
    return this.#page(subscriptions, project, page, 'subscriptions');
  }

  async createSnapshot(input: { name: string; subscription: string; labels?: Labels | undefined }) {
    checkName('snapshots', input.name);
    checkServed(input.name, this.#deps.project);
    const subscription = this.subscription(input.subscription);
    if (subscription.settings.isDetached) throw detached(input.subscription);
    if (this.#registry.snapshots.has(input.name)) {
      throw new Refusal('ALREADY_EXISTS', 'Snapshot already exists');
    }
    this.#checkCount('snapshots', this.#registry.snapshots, input.name, limits.snapshotsPerProject);
    const settings: SnapshotSettings = {
      name: input.name,
      topic: subscription.settings.topic,
      labels: checkLabels(input.labels ?? {}),
      expireTimeMs: this.#snapshotExpireTimeMs(subscription),
    };
    const state = { settings, topic: subscription.topic.number, done: subscription.progress.done.state() };
    await this.#commit({ type: 'snapshot', state });
    return settings;
  }

  /** Seven days less the age of its oldest message: https://cloud.google.com/pubsub/docs/replay-overview */
  #snapshotExpireTimeMs(subscription: Subscription): number {
    const now = this.#deps.clock.now();
    const since = this.#deps.oldestUnackedMs(subscription) ?? now;
    const expireTimeMs = since + limits.snapshotSeconds * 1_000;
    if (expireTimeMs - now >= limits.snapshotSecondsMin * 1_000) return expireTimeMs;
    const why = `The oldest unacked message of ${subscription.settings.name} is from ${new Date(since).toISOString()}`;
    throw new Refusal('FAILED_PRECONDITION', `${why}, so the snapshot would expire within an hour.`);
  }

  /** @throws Refusal */
  snapshot(name: string): Snapshot {
    checkName('snapshots', name);
    checkServed(name, this.#deps.project);
    const snapshot = this.#registry.snapshots.get(name);
    if (!snapshot) throw new Refusal('NOT_FOUND', 'Snapshot does not exist');
    return snapshot;
  }

  /** As it is shown: with its topic's name, or that of a deleted one. */
  snapshotSettings({ settings, topic }: Snapshot): SnapshotSettings {
    const isDeleted = this.#registry.topicsByNumber.get(topic)?.isDeleted ?? true;
    return isDeleted ? { ...settings, topic: deletedTopic } : settings;
  }

  async updateSnapshot(
    input: { name: string; labels?: Labels | undefined; expireTimeMs?: number | undefined },
    paths: readonly string[],
  ): Promise<SnapshotSettings> {
    const snapshot = this.snapshot(input.name);
    checkSnapshotMask(paths);
    const settings = { ...snapshot.settings };
    if (paths.includes('labels')) settings.labels = checkLabels(input.labels ?? {});
    if (paths.includes('expire_time')) {
      const now = this.#deps.clock.now();
      const latest = now + limits.snapshotSeconds * 1_000;
      if (input.expireTimeMs === undefined || input.expireTimeMs <= now || input.expireTimeMs > latest) {
        throw invalid('expire_time must be in the future and at most 7 days away');
      }
      settings.expireTimeMs = input.expireTimeMs;
    }
    await this.#commit({ type: 'snapshot-settings', settings });
    return this.snapshotSettings(snapshot);
  }

  async deleteSnapshot(name: string): Promise<void> {
    this.snapshot(name);
    await this.#commit({ type: 'snapshot-deleted', name });
  }

  listSnapshots(project: string, page: PageRequest) {
    this.#checkProject(project);
    const snapshots = [...this.#registry.snapshots.values()].map((one) => this.snapshotSettings(one));
    return this.#page(snapshots, project, page, 'snapshots');
  }

  async seekToSnapshot(subscriptionName: string, snapshotName: string): Promise<void> {
    const subscription = this.subscription(subscriptionName);
    const snapshot = this.snapshot(snapshotName);
    if (snapshot.topic !== subscription.topic.number) {
      const topics = `The subscription's topic ${subscription.settings.topic} is different from that of the snapshot ${this.snapshotSettings(snapshot).topic}`;
      const note =
        'Note that if a topic is deleted and then re-created with the same name, it is considered a distinct topic for these purposes.';
      throw new Refusal('FAILED_PRECONDITION', `${topics}; they must match in order for Seek work. ${note}`);
    }
    await this.#seek(subscription, snapshot.done);
  }

  /** What was published before `timeMs` is done, what came since is not, as far as it is kept. */
  async seekToTime(subscriptionName: string, timeMs: number): Promise<void> {
    const subscription = this.subscription(subscriptionName);
    const { topic, settings } = subscription;
    const first = (await this.#deps.firstSince(topic.number, timeMs)) ?? topic.visible + 1;
    const done = this.#keptSince(subscription);
    done.addRange(0, first - 1);
    if (settings.isDetached) throw detached(subscriptionName);
    await this.#seek(subscription, done);
  }

  /** What cannot come back: all that is acked, unless the subscription or the topic retains it. */
  #keptSince({ settings, topic, start, progress }: Subscription): SequenceSet {
    const isTopicRetained = topic.settings.retentionMs !== undefined;
    if (!settings.retainsAcked && !isTopicRetained) return progress.done.copy();
    const kept = (this.#deps.firstKept(topic.number) ?? topic.next) - 1;
    return new SequenceSet(isTopicRetained ? kept : Math.max(kept, start));
  }

  async #seek(subscription: Subscription, done: SequenceSet): Promise<void> {
    const change: Change = {
      type: 'seek',
      number: subscription.number,
      done: done.state(),
      // Ack ids from up to now do not count after a restart either.
      epoch: this.#registry.epoch + 1,
    };
    await this.#commit(change);
  }

  async #commitSettings(
    { number, topic, start }: Subscription,
    settings: SubscriptionSettings,
  ): Promise<void> {
    await this.#commit({ type: 'subscription', number, topic: topic.number, settings, start });
  }

  async #commit(change: Change): Promise<void> {
    this.#deps.change(change);
    await this.#deps.committed();
  }

  #checkProject(project: string): void {
    checkProject(project);
    checkServed(`${project}/`, this.#deps.project);
  }

  #page<Entry extends { name: string }>(entries: Entry[], project: string, page: PageRequest, kind: string) {
    const prefix = `${project}/${kind}/`;
    return pageOf(
      entries.filter(({ name }) => name.startsWith(prefix)),
      prefix,
      page,
    );
  }

  #checkCount(kind: string, existing: ReadonlyMap<string, unknown>, name: string, max: number): void {
    // 10,000 creations that each counted all before them took 14 s.
    if (existing.size < max) return;
    const project = projectOf(name);
    let count = 0;
    for (const one of existing.keys()) if (projectOf(one) === project) count++;
    if (count >= max) throw tooMany(`${kind} of a project`, max);
  }
}

function tooMany(what: string, max: number): Refusal {
  return new Refusal('RESOURCE_EXHAUSTED', `There are ${max} ${what} already, which is the limit.`);
}

export function detached(name: string): Refusal {
  return new Refusal('FAILED_PRECONDITION', `Subscription is detached from its topic (resource=${name})`);
}

/** Of Pull and StreamingPull. */
export function isPush(name: string): Refusal {
  return new Refusal('FAILED_PRECONDITION', `Subscription is a push subscription: (resource=${name})`);
}

function idIn(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1);
}
