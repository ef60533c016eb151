/**
 * One file of the log and the index into it.
 *
 * `active` (the last one, written to) → `sealed` (full; its last record is its index) → deleted, once nobody
 * needs a message in it. The index is sparse: an entry a topic for every `indexStrideBytes`, so that 2,000,000
 * messages of 3 kB cost about 2 MB of memory; a read scans from the entry before what it wants.
 */

/** A read scans at most this much of other messages before the first wanted one. */
const indexStrideBytes = 64 * 1024;

/** The messages of one topic in one segment. */
export interface TopicIndex {
  /** First and last sequence number. */
  first: number;
  last: number;
  /** Publish time of the last one, ms. */
  lastTime: number;
  bytes: number;
  /** Sparse entries: sequence number, file offset, publish time (ms) of the first message of a record. */
  sequences: number[];
  offsets: number[];
  times: number[];
}

export interface MessagesPosition {
  topic: number;
  first: number;
  count: number;
  time: number;
  bytes: number;
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
  isDeleted = false;

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
        bytes: position.bytes,
        sequences: [position.first],
        offsets: [offset],
        times: [position.time],
      });
      return;
    }
    index.last = last;
    index.lastTime = position.time;
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

  encodeIndex(): Buffer {
    return Buffer.from(JSON.stringify([...this.topics]));
  }

  decodeIndex(payload: Buffer): void {
    for (const [topic, index] of JSON.parse(payload.toString()) as [number, TopicIndex][]) {
      this.topics.set(topic, index);
    }
  }
}

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

export function segmentName(number: number): string {
  return `${String(number).padStart(8, '0')}.log`;
}
