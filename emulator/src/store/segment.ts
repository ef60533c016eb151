/**
 * One file of the log and the index into it.
 *
 * `active` (the last one, written to) → `sealed` (full; its last record is its index) → deleted, once nobody
 * needs a message in it. The index is sparse: an entry a topic for every `indexStrideBytes`, so that 2,000,000
 * messages of 3 kB cost about 2 MB of memory; a read scans from the entry before what it wants.
 */

import { headerBytes, type MessagesPosition, recordKinds, sealRecord } from './record.ts';

/** A read scans at most this much of other messages before the first wanted one. */
export const indexStrideBytes = 64 * 1024;

/** The messages of one topic in one segment. */
export interface TopicIndex {
  /** First and last sequence number. */
  first: number;
  last: number;
  /** Publish time of the last one, ms. */
  lastTime: number;
  /** Fewer than first and last say where a segment was compacted (compaction.ts). */
  count: number;
  bytes: number;
  /** Sparse entries: sequence number, file offset, publish time (ms) of the first message of a record. */
  sequences: number[];
  offsets: number[];
  times: number[];
}

export class Segment {
  readonly number: number;
  readonly path: string;
  fd: number;
  /** Bytes that are on disk. */
  size = 0;
  isSealed = false;
  readonly topics = new Map<number, TopicIndex>();
  /** Reads under way: the file is closed after the last. */
  readers = 0;
  /** Its file was deleted, or is another segment's by now. */
  isRetired = false;
  /** Bytes of messages that somebody may need, and since when they are as many, ms (reclaim.ts). */
  neededBytes: number | undefined;
  neededSinceMs = 0;

  constructor(number: number, path: string, fd: number) {
    this.number = number;
    this.path = path;
    this.fd = fd;
  }

  /** Notes a record of messages at `offset`. */
  add(position: MessagesPosition, offset: number): void {
    const last = position.first + position.count - 1;
    const index = this.topics.get(position.topic);
    if (!index) {
      this.topics.set(position.topic, {
        first: position.first,
        last,
        lastTime: position.time,
        count: position.count,
        bytes: position.bytes,
        sequences: [position.first],
        offsets: [offset],
        times: [position.time],
      });
      return;
    }
    index.last = last;
    index.lastTime = position.time;
    index.count += position.count;
    index.bytes += position.bytes;
    if (offset - (index.offsets.at(-1) ?? 0) < indexStrideBytes) return;
    index.sequences.push(position.first);
    index.offsets.push(offset);
    index.times.push(position.time);
  }

  /** Where to start reading for `sequence`. */
  offsetOf(topic: number, sequence: number): number {
    const index = this.topics.get(topic);
    if (!index) return this.size;
    return index.offsets[lastAtMost(index.sequences, sequence)] ?? 0;
  }

  /** Its last record, to be written at `size`, and behind it where it begins. */
  encodeIndex(commit: number): Buffer {
    const payload = Buffer.from(JSON.stringify([...this.topics]));
    const record = Buffer.alloc(headerBytes + payload.length + indexTrailerBytes);
    payload.copy(record, headerBytes);
    const header = { segment: this.number, commit, isFirst: true };
    sealRecord(record, 0, { kind: recordKinds.index, payloadBytes: payload.length, ...header });
    record.writeUIntLE(this.size, record.length - indexTrailerBytes, indexTrailerBytes);
    return record;
  }

  decodeIndex(payload: Buffer): void {
    for (const [topic, index] of JSON.parse(payload.toString()) as [number, TopicIndex][]) {
      // Folders of before segments were compacted have no count.
      index.count ??= index.last - index.first + 1;
      this.topics.set(topic, index);
    }
  }
}

/** The last bytes of a sealed segment say where its index begins. */
export const indexTrailerBytes = 6;

/** The position of the last value that is at most `wanted`, or 0. */
export function lastAtMost(values: readonly number[], wanted: number): number {
  let low = 0;
  let high = values.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((values[middle] ?? 0) <= wanted) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** What the file of a compaction is called until it is complete. */
export const unfinishedSuffix = '.unfinished';

export function segmentName(number: number): string {
  return `${String(number).padStart(8, '0')}.log`;
}
