/**
 * What the broker keeps on disk, behind a handful of methods: messages, changes of its resources, acks and delivery
 * attempts, all in one log (store/log.ts), and a checkpoint of the rest at the beginning of every segment.
 *
 * What is appended is confirmed by `committed()`. A start restores the checkpoint and replays what came after it.
 * A folder shrinks by whole segments of 32 MiB at most: one is deleted when nobody needs a message in it any more, and those
 * of which little is needed are compacted into one (store/reclaim.ts).
 * One engine was measured against it: lmdb took 3.2 to 8.5 µs of CPU a durable 3,000-byte message in values of
 * 256 KiB and 8.8 to 18.5 µs with one value a message; this log takes 3.4 to 4.4 µs, gives space back, and reads
 * through a buffer of known size instead of a map of the file.
 */
import { writeCheckpoint } from './store/checkpoint.ts';
import { compact } from './store/compaction.ts';
import { StoreFull } from './store/errors.ts';
import { isOutOfRoom, makeFolder } from './store/file.ts';
import { type FolderLock, lockFolder } from './store/lock.ts';
import { type Durability, Log } from './store/log.ts';
import { type MessageWindow, Reader } from './store/reader.ts';
import { chooseRun, type Need, noteNeed } from './store/reclaim.ts';
import {
  type MessagesPosition,
  messagesHeaderBytes,
  positionOf,
  type RecordHeader,
  type RecordKind,
  recordKinds,
  writePosition,
} from './store/record.ts';
import { recover } from './store/recovery.ts';
import { Reserve } from './store/reserve.ts';
import type { Segment } from './store/segment.ts';

export type { Durability } from './store/log.ts';
export type { MessageWindow } from './store/reader.ts';
export type { Need } from './store/reclaim.ts';

export interface StoreOptions {
  folder: string;
  durability: Durability;
  /** Over it messages are refused. Acks and changes still get their place, because they free room. */
  folderBytesMax: number;
  segmentBytes?: number;
  onFatal: (error: Error) => void;
  onWarning: (message: string) => void;
}

/** What the broker does with what it finds, in the order in which it was written. */
export interface StoreTarget {
  restore(state: unknown): void;
  onMessages(position: MessagesPosition): void;
  onChange(change: unknown): void;
  onAcks(subscription: number, ranges: readonly [first: number, last: number][]): void;
  onAttempts(subscription: number, attempts: readonly [sequence: number, attempts: number][]): void;
  /** The state that a checkpoint keeps: all that was appended up to now is in it. */
  state(): unknown;
  /** A segment is full: it and those before it may be free. */
  onRoll(): void;
}

/** Small enough that a start reads it in 20 ms, large enough that a full disk is some thousand files. */
const segmentBytesMax = 32 * 1024 * 1024;
/** Of the folder: only what is not written to any more is deleted, and that has to make room again. */
const segmentShareMax = 1 / 4;

/** What found no room on the disk, a compaction or the record of a deletion, is tried again after this. */
const reclaimRetryMs = 60_000;

/** A record of messages is about this long at most, unless one message is longer. */
export const recordBytesMax = 128 * 1024;

export class Store {
  #log: Log;
  #reader: Reader;
  #options: StoreOptions;
  #target: StoreTarget;
  #lock: FolderLock;
  /** Ends with the checkpoint under way. */
  #checkpoint: Promise<void> = Promise.resolve();
  /** The segment at whose beginning, or in which, the last checkpoint was taken. */
  #checkpointedFrom: number;

  private constructor(log: Log, from: number, options: StoreOptions, target: StoreTarget, lock: FolderLock) {
    this.#log = log;
    this.#checkpointedFrom = from;
    this.#options = options;
    this.#target = target;
    this.#lock = lock;
    this.#reader = new Reader(() => log.segments);
  }

  /** @throws FolderInUse, DamagedFolder */
  static async open(options: StoreOptions, target: StoreTarget): Promise<Store> {
    await makeFolder(options.folder);
    const lock = lockFolder(options.folder);
    try {
      const recovered = await recover(options.folder, {
        restore: (state) => target.restore(state),
        replay: (record, buffer) => replay(target, record, buffer),
      });
      for (const warning of recovered.warnings) options.onWarning(warning);
      const reserve = new Reserve(options.folder);
      await reserve.restore();
      const log = new Log(recovered.segments, recovered.commit, {
        folder: options.folder,
        reserve,
        segmentBytes: segmentBytesOf(options),
        durability: options.durability,
        onFatal: options.onFatal,
        onRoll: (next) => store.#captureState(next),
      });
      const store = new Store(log, recovered.checkpointedFrom, options, target, lock);
      return store;
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  get bytes(): number {
    return this.#log.bytes;
  }

  /** Of the commit that comes next. */
  get fillingBytes(): number {
    return this.#log.fillingBytes;
  }

  /** Resolves when what was appended before is on disk. */
  committed(): Promise<void> {
    return this.#log.committed('others');
  }

  /** Resolves when the commit under way is over, however it went, or at once when there is none. */
  written(): Promise<void> {
    return this.#log.written();
  }

  messagesCommitted(): Promise<void> {
    return this.#log.committed('messages');
  }

  /** Whether `bytes` more are within the folder's limit. */
  hasRoom(bytes: number): boolean {
    return this.#log.bytes + bytes <= this.#options.folderBytesMax;
  }

  /** @throws StoreFull when `bytes` more are over the folder's limit. */
  checkRoom(bytes: number): void {
    if (this.hasRoom(bytes)) return;
    const used = this.#log.bytes;
    const { folderBytesMax, folder } = this.#options;
    const why = `${used} bytes are kept in ${folder}, and ${bytes} more are over its limit of ${folderBytesMax} bytes.`;
    throw new StoreFull(`${why} Acknowledge or purge messages, or raise --data-bytes-max.`);
  }

  /** Room for `position.count` messages; each is a length (uint32, little endian) and its bytes, from `at` on. */
  appendMessages(position: Omit<MessagesPosition, 'bytes'>, bytes: number): { buffer: Buffer; at: number } {
    const payloadBytes = messagesHeaderBytes + bytes;
    const { buffer, at } = this.#log.append(recordKinds.messages, payloadBytes, { ...position, bytes });
    writePosition(buffer, at, position);
    return { buffer, at: at + messagesHeaderBytes };
  }

  appendChange(change: unknown): void {
    const text = JSON.stringify(change);
    const { buffer, at } = this.#log.append(recordKinds.change, Buffer.byteLength(text));
    buffer.write(text, at);
  }

  appendAcks(subscription: number, ranges: readonly [first: number, last: number][]): void {
    this.#appendPairs(recordKinds.acks, subscription, ranges);
  }

  appendAttempts(subscription: number, attempts: readonly [sequence: number, attempts: number][]): void {
    this.#appendPairs(recordKinds.attempts, subscription, attempts);
  }

  #appendPairs(kind: RecordKind, subscription: number, pairs: readonly [number, number][]): void {
    const { buffer, at } = this.#log.append(kind, 4 + pairs.length * pairBytes);
    let offset = buffer.writeUInt32LE(subscription, at);
    for (const [sequence, value] of pairs) {
      offset = buffer.writeDoubleLE(sequence, offset);
      offset = buffer.writeDoubleLE(value, offset);
    }
  }

  read(topic: number, sequence: number, before?: MessageWindow): Promise<MessageWindow> {
    return this.#reader.read(topic, sequence, before);
  }

  firstSince(topic: number, time: number): Promise<number | undefined> {
    return this.#reader.firstSince(topic, time);
  }

  /** The first sequence number of `topic` that is still on disk. */
  first(topic: number): number | undefined {
    for (const { topics } of this.#log.segments) {
      const index = topics.get(topic);
      if (index) return index.first;
    }
    return undefined;
  }

  /** The publish time (ms) of message `sequence`, or of the one that follows; undefined when there is none. */
  timeOf(topic: number, sequence: number): number | undefined {
    return this.#reader.timeOf(topic, sequence);
  }

  /**
   * Deletes the segments in which no message is needed, and compacts some in which few are.
   * @returns when there may be more to do, ms; infinity when that takes another ack, change or full segment
   * @throws DamagedFolder when a message that is needed is not what was written
   */
  async reclaim(need: Need, now: number): Promise<number> {
    // Of the segment that was filled last, if that was just now.
    await this.#checkpoint;
    const segments = this.#log.segments.filter(({ number }) => number < this.#checkpointedFrom);
    for (const segment of segments) noteNeed(segment, need, now);
    try {
      await this.#delete(segments.filter(({ neededBytes }) => neededBytes === 0));
      const kept = segments.filter(({ neededBytes }) => neededBytes !== 0);
      const { run, dueMs } = chooseRun(kept, segmentBytesOf(this.#options), now);
      const last = run.pop();
      if (!last) return dueMs;
      const compacted = await compact([...run, last], need.has);
      await this.#log.replace(last, compacted);
      await this.#delete(run);
      return now;
    } catch (error) {
      // A disk that is full now gets room by whole segments, and is asked again.
      if (error instanceof StoreFull || isOutOfRoom(error)) return now + reclaimRetryMs;
      throw error;
    }
  }

  /** What they hold besides messages is in the checkpoint. */
  async #delete(segments: readonly Segment[]): Promise<void> {
    if (segments.length === 0) return;
    const { buffer, at } = this.#log.append(recordKinds.deleted, segments.length * 4);
    for (const [position, { number }] of segments.entries()) buffer.writeUInt32LE(number, at + position * 4);
    await this.#log.committed('others');
    await this.#log.delete(segments);
  }

  /** Writes what is appended, and a checkpoint of all of it, so that the next start replays nothing. */
  async close(): Promise<void> {
    try {
      await this.#log.drain();
      await this.#checkpoint;
      const { number, size } = this.#log.active;
      await this.#writeCheckpoint(number, size, this.#target.state());
      await this.#log.close();
    } finally {
      this.#lock.release();
    }
  }

  /** At the moment at which a segment ends: all that was appended is before the next one. */
  #captureState(next: number): () => void {
    const state = this.#target.state();
    return () => {
      this.#checkpoint = this.#checkpoint.then(() => this.#writeCheckpoint(next, 0, state));
      this.#target.onRoll();
    };
  }

  async #writeCheckpoint(segment: number, offset: number, state: unknown): Promise<void> {
    const segments = this.#log.segments.map(({ number }) => number).filter((number) => number <= segment);
    try {
      await writeCheckpoint(this.#options.folder, { segment, offset, segments, state });
      this.#checkpointedFrom = segment;
    } catch (cause) {
      // The one before it still holds; a start replays more, and no segment is deleted until the next one.
      this.#options.onWarning(`No checkpoint could be written: ${(cause as Error).message}`);
    }
  }
}

function segmentBytesOf({ segmentBytes, folderBytesMax }: StoreOptions): number {
  return segmentBytes ?? Math.min(segmentBytesMax, folderBytesMax * segmentShareMax);
}

const pairBytes = 16;

function replay(target: StoreTarget, record: RecordHeader, buffer: Buffer): void {
  const { kind, start, end } = record;
  if (kind === recordKinds.messages) {
    target.onMessages(positionOf(buffer, record));
  } else if (kind === recordKinds.change) {
    target.onChange(JSON.parse(buffer.toString('utf8', start, end)));
  } else if (kind === recordKinds.acks || kind === recordKinds.attempts) {
    const pairs: [number, number][] = [];
    for (let at = start + 4; at < end; at += pairBytes) {
      pairs.push([buffer.readDoubleLE(at), buffer.readDoubleLE(at + 8)]);
    }
    if (kind === recordKinds.acks) target.onAcks(buffer.readUInt32LE(start), pairs);
    else target.onAttempts(buffer.readUInt32LE(start), pairs);
  }
}
