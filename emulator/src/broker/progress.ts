/**
 * How far a subscription is: which messages of its topic it is done with, and where the backlog begins that it never
 * handed out. Whatever its length, the backlog is these two.
 *
 * What is finished goes to the log as ranges, and counts after a crash once the log is committed. What is passed, by
 * its age or the filter, is not written down: a restart comes to the same answer.
 */
import type { SequenceSet } from './sequence-set.ts';

type Range = [first: number, last: number];

export class Progress {
  done: SequenceSet;
  /** The first message that was never handed out since the start or the last seek. */
  cursor: number;
  #finished: Range[] = [];

  constructor(done: SequenceSet) {
    this.done = done;
    this.cursor = done.through + 1;
  }

  /** Done with a message, durably with the next commit of `takeFinished()`. @returns false when it was already. */
  finish(sequence: number): boolean {
    if (!this.done.add(sequence)) return false;
    const last = this.#finished.at(-1);
    if (last && last[1] + 1 === sequence) last[1] = sequence;
    else this.#finished.push([sequence, sequence]);
    return true;
  }

  /** What was finished and is not in the log yet. */
  takeFinished(): Range[] {
    const finished = this.#finished;
    if (finished.length > 0) this.#finished = [];
    return finished;
  }

  /** Moves the cursor over what is done. */
  skipDone(): number {
    this.cursor = this.done.nextMissing(this.cursor);
    return this.cursor;
  }

  /** Moves the cursor to `sequence` over numbers that no message has: their commit was refused, or they were deleted. */
  passGap(sequence: number): void {
    if (sequence <= this.cursor) return;
    this.done.addRange(this.cursor, sequence - 1);
    this.cursor = sequence;
  }

  reset(done: SequenceSet): void {
    this.done = done;
    this.cursor = done.through + 1;
  }
}
