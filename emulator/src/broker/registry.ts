/**
 * Which topics, subscriptions and snapshots there are. Every change of them is a `Change`: applied here at once,
 * appended to the log, and applied again, in the same order, when a start replays the log.
 */
import { Epochs, type EpochsState } from './epochs.ts';
import { deletedTopic } from './names.ts';
import { SequenceSet, type SequenceSetState } from './sequence-set.ts';
import type { SnapshotSettings, SubscriptionSettings, TopicSettings } from './settings.ts';
import { Snapshot, type SnapshotState } from './snapshot.ts';
import {
  type Retained,
  Subscription,
  type SubscriptionDeps,
  type SubscriptionState,
} from './subscription.ts';
import { Topic, type TopicState } from './topic.ts';

export type Change =
  | { type: 'start'; epoch: number }
  | { type: 'topic'; number: number; settings: TopicSettings }
  | { type: 'topic-deleted'; number: number }
  | { type: 'subscription'; number: number; topic: number; settings: SubscriptionSettings; start: number }
  | { type: 'subscription-deleted'; number: number }
  | { type: 'snapshot'; state: SnapshotState }
  | { type: 'snapshot-settings'; settings: SnapshotSettings }
  | { type: 'snapshot-deleted'; name: string }
  | { type: 'seek'; number: number; done: SequenceSetState; epoch: number; retained?: Retained | undefined };

export interface RegistryState extends EpochsState {
  lastNumber: number;
  topics: TopicState[];
  subscriptions: SubscriptionState[];
  snapshots: SnapshotState[];
}

export class Registry {
  readonly topics = new Map<string, Topic>();
  readonly topicsByNumber = new Map<number, Topic>();
  readonly subscriptions = new Map<string, Subscription>();
  readonly subscriptionsByNumber = new Map<number, Subscription>();
  readonly snapshots = new Map<string, Snapshot>();
  readonly epochs = new Epochs();
  /** Topics and subscriptions share one count, which never goes back. */
  lastNumber = 0;
  /** Of changes since the start of the process. */
  changeCount = 0;
  #deps: SubscriptionDeps;

  constructor(deps: SubscriptionDeps) {
    this.#deps = deps;
  }

  apply(change: Change): void {
    this.changeCount++;
    switch (change.type) {
      case 'start':
        this.epochs.start(change.epoch);
        break;
      case 'topic':
        this.#applyTopic(change);
        break;
      case 'topic-deleted':
        this.#deleteTopic(change.number);
        break;
      case 'subscription':
        this.#applySubscription(change);
        break;
      case 'subscription-deleted':
        this.#deleteSubscription(change.number);
        break;
      case 'snapshot':
        this.snapshots.set(change.state.settings.name, new Snapshot(change.state));
        break;
      case 'snapshot-settings': {
        const snapshot = this.snapshots.get(change.settings.name);
        if (snapshot) snapshot.settings = change.settings;
        break;
      }
      case 'snapshot-deleted':
        this.snapshots.delete(change.name);
        this.#forgetTopics();
        break;
      case 'seek': {
        const { number, done, epoch, retained } = change;
        this.subscriptionsByNumber.get(number)?.reset(SequenceSet.from(done), epoch, retained);
        break;
      }
    }
  }

  #applyTopic({ number, settings }: { number: number; settings: TopicSettings }): void {
    const existing = this.topicsByNumber.get(number);
    if (existing) {
      existing.settings = settings;
      return;
    }
    const topic = new Topic(number, settings);
    this.lastNumber = Math.max(this.lastNumber, number);
    this.topics.set(settings.name, topic);
    this.topicsByNumber.set(number, topic);
  }

  #deleteTopic(number: number): void {
    const topic = this.topicsByNumber.get(number);
    if (!topic) return;
    topic.isDeleted = true;
    this.topics.delete(topic.settings.name);
    for (const subscription of topic.subscriptions) {
      subscription.settings = { ...subscription.settings, topic: deletedTopic };
    }
    this.#forgetTopics();
  }

  #applySubscription(change: Extract<Change, { type: 'subscription' }>): void {
    const existing = this.subscriptionsByNumber.get(change.number);
    if (existing) {
      existing.settings = change.settings;
      existing.touch();
      if (change.settings.isDetached) this.#endDelivery(existing);
      return;
    }
    const topic = this.topicsByNumber.get(change.topic);
    if (!topic) return;
    const { number, settings, start } = change;
    this.#add(new Subscription(this.#deps, { number, settings, topic, start, done: new SequenceSet(start) }));
  }

  #add(subscription: Subscription): void {
    this.lastNumber = Math.max(this.lastNumber, subscription.number);
    this.subscriptions.set(subscription.settings.name, subscription);
    this.subscriptionsByNumber.set(subscription.number, subscription);
    subscription.topic.subscriptions.add(subscription);
  }

  #deleteSubscription(number: number): void {
    const subscription = this.subscriptionsByNumber.get(number);
    if (!subscription) return;
    this.#endDelivery(subscription);
    this.subscriptionsByNumber.delete(number);
    this.subscriptions.delete(subscription.settings.name);
    subscription.topic.subscriptions.delete(subscription);
    this.#forgetTopics();
  }

  /** Its streams stay until the change is on disk; nothing is left that they could get. */
  #endDelivery(subscription: Subscription): void {
    subscription.reset(new SequenceSet(Number.MAX_SAFE_INTEGER), this.epochs.current);
  }

  /** Deleted topics of which nobody holds a message any more. */
  #forgetTopics(): void {
    for (const topic of this.topicsByNumber.values()) {
      if (!topic.isDeleted || topic.subscriptions.size > 0) continue;
      if ([...this.snapshots.values()].some((snapshot) => snapshot.topic === topic.number)) continue;
      this.topicsByNumber.delete(topic.number);
    }
  }

  state(): RegistryState {
    return {
      ...this.epochs.state(),
      lastNumber: this.lastNumber,
      topics: [...this.topicsByNumber.values()].map((topic) => topic.state()),
      subscriptions: [...this.subscriptions.values()].map((subscription) => subscription.state()),
      snapshots: [...this.snapshots.values()].map((snapshot) => snapshot.state()),
    };
  }

  restore(state: RegistryState): void {
    this.epochs.restore(state);
    this.lastNumber = state.lastNumber;
    for (const one of state.topics) {
      const topic = Topic.from(one);
      this.topicsByNumber.set(topic.number, topic);
      if (!topic.isDeleted) this.topics.set(topic.settings.name, topic);
    }
    for (const one of state.subscriptions) {
      const topic = this.topicsByNumber.get(one.topic);
      if (!topic) continue;
      this.#add(new Subscription(this.#deps, { ...one, topic, done: SequenceSet.from(one.done) }));
    }
    for (const one of state.snapshots) this.snapshots.set(one.settings.name, new Snapshot(one));
  }
}
