/**
 * Which messages somebody may still ask for: a subscription that is not done with them, a snapshot that was not, the
 * retention of their topic, or of a subscription that keeps what it acked. What nobody needs now nobody can need
 * later: a seek goes back to what is retained, and a snapshot is taken of what a subscription has left.
 *
 * A compaction asks for longer than a request takes. So it is looked up anew after a change: what is acked meanwhile
 * may be held by a snapshot that was made meanwhile.
 */
import type { Need } from '../store.ts';
import type { Registry } from './registry.ts';
import type { SequenceSet } from './sequence-set.ts';
import type { Topic } from './topic.ts';

export function createNeed(registry: Registry, now: number): Need {
  let holders = allHolders(registry, now);
  let { changeCount } = registry;
  const holdersOf = (topic: number) => {
    if (registry.changeCount !== changeCount) {
      holders = allHolders(registry, now);
      changeCount = registry.changeCount;
    }
    return holders.get(topic);
  };

  return {
    count(number, { first, last, lastTime, count }) {
      const topic = holdersOf(number);
      if (!topic) return 0;
      if (lastTime > topic.retainedSince) return count;
      return topic.done.reduce((sum, done) => sum + done.missingBetween(first, last), 0);
    },
    has(number, sequence, time) {
      const topic = holdersOf(number);
      return (
        topic !== undefined && (time > topic.retainedSince || topic.done.some((done) => !done.has(sequence)))
      );
    },
  };
}

interface Holders {
  /** Messages since then are retained, whoever is done with them; ms. */
  retainedSince: number;
  /** What each subscription and snapshot is done with. */
  done: SequenceSet[];
}

function allHolders({ topicsByNumber, snapshots }: Registry, now: number): Map<number, Holders> {
  const holders = new Map<number, Holders>();
  for (const topic of topicsByNumber.values()) holders.set(topic.number, holdersOfTopic(topic, now));
  for (const { topic, done } of snapshots.values()) holders.get(topic)?.done.push(done);
  return holders;
}

function holdersOfTopic(
  { isDeleted, settings: { retentionMs }, subscriptions }: Topic,
  now: number,
): Holders {
  let retainedSince = Number.POSITIVE_INFINITY;
  if (!isDeleted && retentionMs !== undefined) retainedSince = now - retentionMs;
  const done: SequenceSet[] = [];
  for (const { settings, progress } of subscriptions) {
    if (settings.retainsAcked) retainedSince = Math.min(retainedSince, now - settings.retentionMs);
    done.push(progress.done);
  }
  return { retainedSince, done };
}
