/**
 * A snapshot: what a subscription was done with when it was taken. It keeps all messages that were not done then,
 * and all published since, until it expires: after seven days less the age of its oldest message.
 * https://cloud.google.com/pubsub/docs/replay-overview
 */
import { SequenceSet, type SequenceSetState } from './sequence-set.ts';
import type { SnapshotSettings } from './settings.ts';

export interface SnapshotState {
  settings: SnapshotSettings;
  topic: number;
  done: SequenceSetState;
}

export class Snapshot {
  settings: SnapshotSettings;
  readonly topic: number;
  readonly done: SequenceSet;

  constructor({ settings, topic, done }: SnapshotState) {
    this.settings = settings;
    this.topic = topic;
    this.done = SequenceSet.from(done);
  }

  state(): SnapshotState {
    return { settings: this.settings, topic: this.topic, done: this.done.state() };
  }
}
