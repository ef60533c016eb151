/**
 * The durable log: what is appended in one turn of the event loop, or while the disk is busy, goes there together
 * (group commit), and is confirmed after the one sync that covers it.
 *
 * A commit is `filling` → being written → synced, and then confirmed, or refused as a whole and cut off the file
 * again. One commit is written at a time: the next fills meanwhile. What was refused and is applied all the same, acks
 * and changes, goes to the head of the next, so that nothing is confirmed before it. A segment that has grown to
 * `segmentBytes` gets its index as its last record, and the log goes on in a new file.
 *
 * After a crash the log ends with the last commit that was written completely; of the one under way a part may be
 * there, which nobody was told of. The trade: a sync of about 1 ms a commit, shared by all who wait for it.
 * A failed sync is not tried again, because Linux drops the pages that it could not write: the process has to stop.
 */
import { join } from 'node:path';
import { Commit } from './commit.ts';
import { StoreFull } from './errors.ts';
import {
  closeFile,
  isOutOfRoom,
  openFile,
  syncFile,
  syncFolder,
  truncateFile,
  unlinkFile,
  writeFully,
} from './file.ts';
import type { MessagesPosition, RecordKind } from './record.ts';
import { type Reserve, reserveBytes } from './reserve.ts';
import { Segment, segmentName } from './segment.ts';

export type Durability = 'disk' | 'process';

/** Of acks and changes that wait for room in memory: as many again. Over it the process has to stop. */
const refusedBytesMax = reserveBytes;

export interface LogOptions {
  folder: string;
  reserve: Reserve;
  segmentBytes: number;
  /** `process`: no sync. Survives the end of the process, not that of the machine. */
  durability: Durability;
  /** Told when a segment was filled, at a moment at which all that was appended is in it or before it. */
  onRoll: (next: number) => (() => void) | undefined;
  /** Told of a failure after which nothing more may be confirmed. */
  onFatal: (error: Error) => void;
}

export class Log {
  readonly segments: Segment[];
  #options: LogOptions;
  #active: Segment;
  #filling = new Commit();
  #spare: Buffer | undefined;
  /** Of the last commit in the active segment. Without gaps: so a start knows one that was cut short (tail.ts). */
  #commitNumber: number;
  #isScheduled = false;
  #isWriting = false;
  #writing: Commit | undefined;
  #failure: Error | undefined;
  #idle = Promise.withResolvers<void>();

  constructor(segments: Segment[], commitNumber: number, options: LogOptions) {
    const active = segments.at(-1);
    if (!active) throw new RangeError('a log has at least one segment');
    this.segments = segments;
    this.#active = active;
    this.#commitNumber = commitNumber;
    this.#options = options;
  }

  get bytes(): number {
    let bytes = this.#filling.length;
    for (const { size } of this.segments) bytes += size;
    return bytes;
  }

  get active(): Segment {
    return this.#active;
  }

  /** Bytes appended and not yet being written, without those that were refused before. */
  get fillingBytes(): number {
    return this.#filling.length - this.#filling.refusedBytes;
  }

  /** Room for one record; its payload is to be written into `buffer` from `at` on, in this turn. */
  append(
    kind: RecordKind,
    payloadBytes: number,
    position?: MessagesPosition,
  ): { buffer: Buffer; at: number } {
    if (this.#failure) throw this.#failure;
    const at = this.#filling.reserve(kind, payloadBytes, position);
    this.#schedule();
    return { buffer: this.#filling.buffer, at };
  }

  /** Resolves when what was appended up to now is on disk. Messages and the rest settle apart. */
  async committed(kind: 'messages' | 'others'): Promise<void> {
    if (this.#failure) throw this.#failure;
    this.#scheduleRefused();
    const commit = this.#filling.isEmpty ? this.#writing : this.#filling;
    await commit?.[kind].promise;
  }

  /** Resolves when the commit under way, or else the one that fills, is over, however that went. */
  async written(): Promise<void> {
    this.#scheduleRefused();
    const commit = this.#writing ?? this.#filling;
    if (!this.#failure && !commit.isEmpty) await commit.others.promise.catch(() => {});
  }

  /** Writes all that was appended, as far as there is room. */
  async drain(): Promise<void> {
    this.#scheduleRefused();
    while (!this.#failure && (this.#isScheduled || this.#isWriting)) await this.#idle.promise;
  }

  /** What was refused is not tried again by itself: there is room when somebody acks, deletes or asks again. */
  #scheduleRefused(): void {
    if (!this.#filling.isEmpty) this.#schedule();
  }

  /** At the end of the turn, so that all requests that were read in it share the commit. */
  #schedule(): void {
    if (this.#isScheduled || this.#isWriting) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      void this.#writeAll();
    });
  }

  async #writeAll(): Promise<void> {
    this.#isWriting = true;
    while (!this.#filling.isEmpty && !this.#failure) {
      const commit = this.#filling;
      this.#writing = commit;
      this.#filling = new Commit(this.#spare);
      this.#spare = undefined;
      const isLast = this.#active.size + commit.length >= this.#options.segmentBytes;
      const onRolled = isLast ? this.#options.onRoll(this.#active.number + 1) : undefined;
      const isWritten = await this.#write(commit);
      this.#writing = undefined;
      this.#spare = commit.buffer;
      if (isWritten && isLast) await this.#roll(onRolled);
      if (!isWritten && !this.#carry(commit)) break;
    }
    this.#isWriting = false;
    this.#idle.resolve();
    this.#idle = Promise.withResolvers();
  }

  async #write(commit: Commit): Promise<boolean> {
    try {
      await this.#writeOrDropMessages(commit);
      await this.#sync(this.#active);
    } catch (error) {
      commit.refuse(error as Error);
      if (!(error instanceof StoreFull)) this.#fail(error as Error);
      return false;
    }
    for (const { position, at } of commit.positions()) this.#active.add(position, this.#active.size + at);
    this.#active.size += commit.length;
    commit.resolve();
    return true;
  }

  /** @returns whether more has come, with which what is left of a refused commit is tried again. */
  #carry(refused: Commit): boolean {
    const hasMore = !this.#filling.isEmpty;
    this.#filling.prepend(refused);
    if (this.#filling.refusedBytes > refusedBytesMax) this.#fail(this.#full(refused.length));
    return hasMore;
  }

  /** On a full disk the messages are refused; acks and changes may still fit, also into the reserve. */
  async #writeOrDropMessages(commit: Commit): Promise<void> {
    const { reserve } = this.#options;
    let full: StoreFull | undefined;
    if (!reserve.isThere && commit.hasMessages && !(await reserve.restore())) {
      full = this.#full(commit.length);
      commit.dropMessages(full);
    }
    while (!commit.isEmpty) {
      commit.seal(this.#active.number, this.#commitNumber + 1);
      try {
        await writeFully(this.#active.fd, commit.buffer, commit.length, this.#active.size);
        this.#commitNumber++;
        return;
      } catch (error) {
        await truncateFile(this.#active.fd, this.#active.size);
        if (!isOutOfRoom(error)) throw error;
        full = this.#full(commit.length, error);
        if (commit.hasMessages) commit.dropMessages(full);
        else if (reserve.isThere) await reserve.release();
        else break;
      }
    }
    throw full;
  }

  #full(bytes: number, cause?: unknown): StoreFull {
    const why = `No space is left on the disk of ${this.#options.folder}: ${bytes} bytes were not kept.`;
    return new StoreFull(why, { cause });
  }

  /** Ends the active segment with its index and starts the next. Without room for that it just grows on. */
  async #roll(onRolled: (() => void) | undefined): Promise<void> {
    const segment = this.#active;
    let next: Segment | undefined;
    try {
      next = await createSegment(this.#options.folder, segment.number + 1);
      const record = segment.encodeIndex(this.#commitNumber + 1);
      await writeFully(segment.fd, record, record.length, segment.size);
      await this.#sync(segment);
      this.#commitNumber = 0;
      segment.size += record.length;
      segment.isSealed = true;
      this.segments.push(next);
      this.#active = next;
    } catch (error) {
      if (!isOutOfRoom(error)) return this.#fail(error as Error);
      await truncateFile(segment.fd, segment.size);
      if (next) await remove(next);
      return;
    }
    onRolled?.();
  }

  #sync(segment: Segment): Promise<void> | undefined {
    return this.#options.durability === 'disk' ? syncFile(segment.fd) : undefined;
  }

  #fail(error: Error): void {
    this.#failure = error;
    this.#filling.reject(error);
    this.#options.onFatal(error);
  }

  /**
   * Removes segments that nobody needs. All leave the list before the first file goes: a checkpoint that is written
   * meanwhile may name none of them, or a start after a crash would miss it.
   */
  async delete(segments: readonly Segment[]): Promise<void> {
    for (const segment of segments) this.segments.splice(this.segments.indexOf(segment), 1);
    for (const segment of segments) await remove(segment);
  }

  /** Puts a segment in the place of the one whose file it took over. */
  async replace(segment: Segment, by: Segment): Promise<void> {
    this.segments[this.segments.indexOf(segment)] = by;
    await retire(segment);
  }

  async close(): Promise<void> {
    await this.drain();
    for (const { fd } of this.segments) await closeFile(fd);
  }
}

async function remove(segment: Segment): Promise<void> {
  await unlinkFile(segment.path);
  await retire(segment);
}

/** A read that is under way ends first, and then closes the file. */
async function retire(segment: Segment): Promise<void> {
  segment.isRetired = true;
  if (segment.readers === 0) await closeFile(segment.fd);
}

export async function createSegment(folder: string, number: number): Promise<Segment> {
  const path = join(folder, segmentName(number));
  const fd = await openFile(path, 'w+', 0o600);
  await syncFolder(folder);
  return new Segment(number, path, fd);
}
