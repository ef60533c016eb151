/**
 * Writes the messages that are needed of some neighbouring segments into one, which takes the file of the last of
 * them over. Of a segment before the checkpoint nothing else is needed: changes, acks and attempts are in that.
 *
 * Written beside the old file, synced, renamed over it. A crash leaves the old file or the new one, and between the
 * new one and the deletion of the others their messages are there twice: a read takes them from the first, and the
 * next compaction keeps one.
 */
import { dirname } from 'node:path';
import { closeFile, openFile, renameFile, syncFile, syncFolder, unlinkFile, writeFully } from './file.ts';
import { readWhole } from './reader.ts';
import {
  headerBytes,
  type MessagesPosition,
  magicNumber,
  messagesHeaderBytes,
  positionOf,
  readRecord,
  recordBytes,
  recordKinds,
  sealRecord,
  writePosition,
} from './record.ts';
import { Segment, unfinishedSuffix } from './segment.ts';
import { damagedAt } from './tail.ts';

/** Read and written at once. */
const windowBytes = 256 * 1024;
/** Of all that it holds: each of the segments had a count of its own, and it is there as a whole or not at all. */
const commit = 1;

export type IsNeeded = (topic: number, sequence: number, time: number) => boolean;

/** @throws DamagedFolder when a message that is needed is not what was written; the old files stay. */
export async function compact(run: readonly Segment[], isNeeded: IsNeeded): Promise<Segment> {
  const last = run.at(-1);
  if (!last) throw new RangeError('a compaction is of one segment at least');
  const unfinished = last.path + unfinishedSuffix;
  const fd = await openFile(unfinished, 'w+', 0o600);
  try {
    const output = new Output(new Segment(last.number, last.path, fd), isNeeded);
    for (const segment of run) await copy(segment, output);
    await output.finish();
    await syncFile(fd);
    await renameFile(unfinished, last.path);
    await syncFolder(dirname(last.path));
    return output.segment;
  } catch (error) {
    await closeFile(fd);
    await unlinkFile(unfinished).catch(() => {}); // what is left of it goes with the next start
    throw error;
  }
}

async function copy(segment: Segment, output: Output): Promise<void> {
  let position = 0;
  let buffer: Buffer = Buffer.allocUnsafeSlow(windowBytes);
  while (position < segment.size) {
    const length = Math.min(buffer.length, segment.size - position);
    await readWhole(segment, buffer, position, length);
    const taken = take(segment, buffer.subarray(0, length), position, output);
    if (taken.isIndex) return;
    await output.flush(windowBytes);
    position += taken.bytes;
    if (taken.bytes > 0) continue;
    const record = length < headerBytes ? Number.POSITIVE_INFINITY : recordBytes(buffer, 0);
    if (record > segment.size - position) break;
    buffer = Buffer.allocUnsafeSlow(record);
  }
  throw damagedAt(segment, position); // its index did not come
}

/** Hands on the complete records of a window. */
function take(
  segment: Segment,
  window: Buffer,
  position: number,
  output: Output,
): { bytes: number; isIndex: boolean } {
  let at = 0;
  while (at + headerBytes <= window.length) {
    if (window.readUInt32LE(at) !== magicNumber) throw damagedAt(segment, position + at);
    const kind = window.readUInt32LE(at + 20);
    if (kind === recordKinds.index) return { bytes: at, isIndex: true };
    const end = at + recordBytes(window, at);
    if (end > window.length) break;
    if (kind === recordKinds.messages) {
      const isGood = output.take(window, at, segment.number);
      if (!isGood) throw damagedAt(segment, position + at);
    }
    at = end;
  }
  return { bytes: at, isIndex: false };
}

class Output {
  readonly segment: Segment;
  #isNeeded: IsNeeded;
  #buffer: Buffer = Buffer.allocUnsafeSlow(2 * windowBytes);
  #length = 0;
  /** The last message kept of each topic: what came twice is not later. */
  #kept = new Map<number, number>();

  constructor(segment: Segment, isNeeded: IsNeeded) {
    this.segment = segment;
    this.#isNeeded = isNeeded;
  }

  /** Keeps what is needed of a record. @returns false when that is damaged. */
  take(window: Buffer, at: number, from: number): boolean {
    const start = at + headerBytes;
    const { topic, first, count, time } = positionOf(window, { start, end: at + recordBytes(window, at) });
    const kept = this.#kept.get(topic) ?? 0;
    let offset = start + messagesHeaderBytes;
    /** The needed messages that follow one another up to here. */
    let run: { first: number; start: number } | undefined;
    let isChecked = false;
    for (let sequence = first; sequence <= first + count; sequence++) {
      const isIn = sequence < first + count;
      if (isIn && sequence > kept && this.#isNeeded(topic, sequence, time)) {
        if (!isChecked) {
          if (typeof readRecord(window, at, from) !== 'object') return false;
          isChecked = true;
        }
        run ??= { first: sequence, start: offset };
      } else if (run) {
        const position = { topic, first: run.first, count: sequence - run.first, time };
        this.#append(window.subarray(run.start, offset), position);
        run = undefined;
      }
      if (isIn) offset += 4 + window.readUInt32LE(offset);
    }
    return true;
  }

  #append(messages: Buffer, position: Omit<MessagesPosition, 'bytes'>): void {
    const payloadBytes = messagesHeaderBytes + messages.length;
    const at = this.#reserve(headerBytes + payloadBytes);
    writePosition(this.#buffer, at + headerBytes, position);
    messages.copy(this.#buffer, at + headerBytes + messagesHeaderBytes);
    const header = { segment: this.segment.number, commit, isFirst: false };
    sealRecord(this.#buffer, at, { kind: recordKinds.messages, payloadBytes, ...header });
    this.segment.add({ ...position, bytes: payloadBytes }, this.segment.size + at);
    this.#kept.set(position.topic, position.first + position.count - 1);
  }

  #reserve(bytes: number): number {
    const at = this.#length;
    this.#length += bytes;
    if (this.#length > this.#buffer.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(this.#length, 2 * this.#buffer.length));
      this.#buffer.copy(larger, 0, 0, at);
      this.#buffer = larger;
    }
    return at;
  }

  /** Writes what has come together, once it is `bytesMin`. */
  async flush(bytesMin: number): Promise<void> {
    if (this.#length < bytesMin) return;
    await writeFully(this.segment.fd, this.#buffer, this.#length, this.segment.size);
    this.segment.size += this.#length;
    this.#length = 0;
  }

  async finish(): Promise<void> {
    await this.flush(0);
    const index = this.segment.encodeIndex(commit);
    await writeFully(this.segment.fd, index, index.length, this.segment.size);
    this.segment.size += index.length;
    this.segment.isSealed = true;
  }
}
