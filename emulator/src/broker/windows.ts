/**
 * What a subscription has read of its topic's log: one window where its backlog goes on, and one for messages that are
 * delivered again. Each is a buffer of known size that is read into again; `release()` gives both back.
 *
 * Reads are waits: what was read before a `release()` is not kept after it, because a seek may have come between.
 */
import type { MessageWindow } from '../store.ts';

export type ReadWindow = (sequence: number, before?: MessageWindow) => Promise<MessageWindow>;

export class Windows {
  backlog: MessageWindow | undefined;
  replay: MessageWindow | undefined;
  /** The message in `backlog` that comes next. */
  position = 0;
  #backlogFrom = 0;
  #readWindow: ReadWindow;
  #run = 0;

  constructor(readWindow: ReadWindow) {
    this.#readWindow = readWindow;
  }

  /** The window in which the backlog goes on at `sequence`, or undefined when it has to be read. */
  backlogAt(sequence: number): MessageWindow | undefined {
    const { backlog } = this;
    return backlog && sequence >= this.#backlogFrom && sequence < backlog.next ? backlog : undefined;
  }

  async readBacklog(sequence: number): Promise<void> {
    const before = this.backlog;
    const window = await this.#read(sequence, before);
    if (!window) return;
    before?.release();
    this.backlog = window;
    this.#backlogFrom = sequence;
    this.position = 0;
  }

  /** The window that has `sequence`, or in which it would be, or undefined when it has to be read. */
  replayAt(sequence: number): MessageWindow | undefined {
    const { replay } = this;
    const first = replay?.sequences[0];
    return replay && first !== undefined && first <= sequence && sequence < replay.next ? replay : undefined;
  }

  /** @returns whether `sequence` is there; undefined when that does not matter any more. */
  async readReplay(sequence: number): Promise<boolean | undefined> {
    const window = await this.#read(sequence);
    if (!window) return undefined;
    this.replay?.release();
    this.replay = window;
    return window.sequences[0] === sequence;
  }

  async #read(sequence: number, before?: MessageWindow): Promise<MessageWindow | undefined> {
    const run = this.#run;
    const window = await this.#readWindow(sequence, before);
    if (run === this.#run) return window;
    window.release();
    return undefined;
  }

  release(): void {
    this.#run++;
    this.backlog?.release();
    this.replay?.release();
    this.backlog = undefined;
    this.replay = undefined;
  }
}

/** Where `wanted` is in the ascending sequence numbers of `window`, or -1. */
export function positionIn({ sequences }: MessageWindow, wanted: number): number {
  let low = 0;
  let high = sequences.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const value = sequences[middle] ?? 0;
    if (value === wanted) return middle;
    if (value < wanted) low = middle + 1;
    else high = middle - 1;
  }
  return -1;
}
