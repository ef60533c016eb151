/** Seeks: a subscription is done with other messages than before. https://cloud.google.com/pubsub/docs/replay-overview */
import { Refusal } from './errors.ts';
import { SequenceSet } from './sequence-set.ts';
import type { Snapshots } from './snapshots.ts';
import type { Retained, Subscription } from './subscription.ts';
import { detached, type Subscriptions } from './subscriptions.ts';
import type { ResourceDeps } from './topics.ts';

export interface SeekDeps extends ResourceDeps {
  subscriptions: Subscriptions;
  snapshots: Snapshots;
  /** The first message since a time; undefined when none came since. */
  firstSince: (topic: number, timeMs: number) => Promise<number | undefined>;
  /** The first message that is still on disk. */
  firstKept: (topic: number) => number | undefined;
}

export class Seek {
  #deps: SeekDeps;

  constructor(deps: SeekDeps) {
    this.#deps = deps;
  }

  /** What was done then is done, what was not and all that came since is not. @throws Refusal */
  async toSnapshot(subscriptionName: string, snapshotName: string): Promise<void> {
    const subscription = this.#deps.subscriptions.get(subscriptionName);
    const snapshot = this.#deps.snapshots.get(snapshotName);
    if (snapshot.topic !== subscription.topic.number) {
      const { topic } = this.#deps.snapshots.settingsOf(snapshot);
      const topics = `The subscription's topic ${subscription.settings.topic} is different from that of the snapshot ${topic}`;
      const note =
        'Note that if a topic is deleted and then re-created with the same name, it is considered a distinct topic for these purposes.';
      throw new Refusal('FAILED_PRECONDITION', `${topics}; they must match in order for Seek work. ${note}`);
    }
    // What it brings back is not too old for as long as the snapshot would be there.
    const retained = { through: subscription.topic.visible, untilMs: snapshot.settings.expireTimeMs };
    await this.#seek(subscription, snapshot.done, retained);
  }

  /** What was published before `timeMs` is done, what came since is not, as far as it is kept. @throws Refusal */
  async toTime(subscriptionName: string, timeMs: number): Promise<void> {
    const subscription = this.#deps.subscriptions.get(subscriptionName);
    const { topic } = subscription;
    const first = (await this.#deps.firstSince(topic.number, timeMs)) ?? topic.visible + 1;
    const done = this.#keptSince(subscription);
    done.addRange(0, first - 1);
    await this.#seek(subscription, done);
  }

  /** What cannot come back: all that is acked, unless the subscription or the topic retains it. */
  #keptSince({ settings, topic, start, progress }: Subscription): SequenceSet {
    const isTopicRetained = topic.settings.retentionMs !== undefined;
    if (!settings.retainsAcked && !isTopicRetained) return progress.done.copy();
    const kept = (this.#deps.firstKept(topic.number) ?? topic.visible + 1) - 1;
    return new SequenceSet(isTopicRetained ? kept : Math.max(kept, start));
  }

  async #seek({ number, settings }: Subscription, done: SequenceSet, retained?: Retained): Promise<void> {
    // Only now: it may have been detached while the log was read, and would hold messages that nobody can pull.
    if (settings.isDetached) throw detached(settings.name);
    // Ack ids from up to now do not count after a restart either.
    const epoch = this.#deps.registry.epochs.current + 1;
    await this.#deps.commit({ type: 'seek', number, done: done.state(), epoch, retained });
  }
}
