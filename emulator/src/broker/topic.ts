/**
 * A topic: its settings, and how far its messages are.
 *
 * A sequence number is given at the publish (`next`) and seen by subscriptions once it is on disk (`visible`), so
 * that no message is delivered that a crash could take back, and no number is ever given twice to a message that
 * somebody saw. Who consumes already has it once its publish is `answered`. A deleted topic stays for as long as subscriptions or snapshots hold messages of it.
 */
import type { SubscriptionSettings, TopicSettings } from './settings.ts';
import type { Subscription } from './subscription.ts';

export interface TopicState {
  number: number;
  settings: TopicSettings;
  next: number;
  lastTime: number;
  isDeleted: boolean;
}

export class Topic {
  readonly number: number;
  settings: TopicSettings;
  next = 1;
  visible = 0;
  /** Up to here the publishes are answered as well. */
  answered = 0;
  /** Publish time of the last message, ms. Times never go back within a topic. */
  lastTime = 0;
  isDeleted = false;
  readonly subscriptions = new Set<Subscription>();

  constructor(number: number, settings: TopicSettings) {
    this.number = number;
    this.settings = settings;
  }

  /** A publish time for a message that comes now. */
  stamp(now: number): number {
    this.lastTime = Math.max(this.lastTime, now);
    return this.lastTime;
  }

  /**
   * How long a subscription has its messages: what the topic retains is "always available to subscribers" (pubsub.proto,
   * Topic.message_retention_duration).
   */
  retentionFor({ retentionMs }: SubscriptionSettings): number {
    return this.isDeleted ? retentionMs : Math.max(retentionMs, this.settings.retentionMs ?? 0);
  }

  /** The publishes up to `sequence` are answered. */
  deliver(sequence: number): void {
    this.answered = Math.max(this.answered, sequence);
    for (const subscription of this.subscriptions) subscription.wake();
  }

  /** What was replayed is on disk, and nobody waits for an answer. */
  settle(): void {
    this.visible = this.next - 1;
    this.answered = this.visible;
  }

  state(): TopicState {
    const { number, settings, next, lastTime, isDeleted } = this;
    return { number, settings, next, lastTime, isDeleted };
  }

  static from(state: TopicState): Topic {
    const topic = new Topic(state.number, state.settings);
    topic.next = state.next;
    topic.lastTime = state.lastTime;
    topic.isDeleted = state.isDeleted;
    topic.settle();
    return topic;
  }
}
