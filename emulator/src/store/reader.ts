/**
 * Reads messages of one topic from the log: a window of the file at a time, with one read call.
 *
 * A window is `free` → being read → held by whoever asked, until its `release()`. Buffers are used again, a few
 * of them; what a slow reader holds is one window, never its backlog. A sequence number below `next` that is not
 * among those returned does not exist (its commit was refused, or it was deleted).
 */
import { close } from 'node:fs';
import { DamagedFolder } from './errors.ts';
import { readOnce } from './file.ts';
import {
  headerBytes,
  magicNumber,
  messagesHeaderBytes,
  positionOf,
  readRecord,
  recordBytes,
  recordKinds,
} from './record.ts';
import { indexStrideBytes, lastAtMost, type Segment } from './segment.ts';
import { damagedAt, readAt } from './tail.ts';

/** At 3 kB a message one read brings 85 of them, at about 1 µs of CPU each. */
const windowBytes = 256 * 1024;
const freeBuffersMax = 8;
/** What a publish time may be off by where nothing is read for it. */
const timeToleranceMs = 1_000;

export class MessageWindow {
  buffer: Buffer = Buffer.alloc(0);
  /** Of each message: sequence number, publish time in ms, and where its bytes are. */
  readonly sequences: number[] = [];
  readonly times: number[] = [];
  readonly starts: number[] = [];
  readonly ends: number[] = [];
  /** The first sequence number that this window says nothing about. */
  next = 0;
  /** Where the next read goes on. */
  segment: Segment | undefined;
  offset = 0;
  #free: Buffer[];

  constructor(free: Buffer[]) {
    this.#free = free;
  }

  get length(): number {
    return this.sequences.length;
  }

  release(): void {
    if (this.buffer.length === windowBytes && this.#free.length < freeBuffersMax) {
      this.#free.push(this.buffer);
    }
    this.buffer = Buffer.alloc(0);
    this.sequences.length = 0;
  }
}

export class Reader {
  #free: Buffer[] = [];
  #segments: () => readonly Segment[];

  constructor(segments: () => readonly Segment[]) {
    this.#segments = segments;
  }

  /** The messages of `topic` from `sequence` on; none, with `next` infinite, when nothing follows. */
  async read(topic: number, sequence: number, before?: MessageWindow): Promise<MessageWindow> {
    const window = new MessageWindow(this.#free);
    window.next = sequence;
    const segment = this.#segmentOf(topic, sequence);
    if (!segment) {
      window.next = Number.POSITIVE_INFINITY;
      return window;
    }
    const indexed = segment.offsetOf(topic, sequence);
    const follows = before?.segment === segment && before.next === sequence;
    segment.readers++;
    try {
      await this.#fill(window, segment, topic, follows ? Math.max(before.offset, indexed) : indexed);
    } finally {
      if (--segment.readers === 0 && segment.isRetired) close(segment.fd);
    }
    return window;
  }

  /** The first sequence number of `topic` that was published at `time` (ms) or later; undefined when there is none. */
  async firstSince(topic: number, time: number): Promise<number | undefined> {
    const segment = this.#segments().find((one) => (one.topics.get(topic)?.lastTime ?? -1) >= time);
    const index = segment?.topics.get(topic);
    if (!segment || !index) return undefined;
    // One entry earlier: several may have the same time.
    const entry = Math.max(0, lastAtMost(index.times, time - 1));
    let window = await this.read(topic, index.sequences[entry] ?? index.first);
    for (;;) {
      const position = window.times.findIndex((value) => value >= time);
      if (position >= 0 && position < window.length) return release(window, window.sequences[position]);
      if (!Number.isFinite(window.next)) return release(window, undefined);
      window.release();
      window = await this.read(topic, window.next, window);
    }
  }

  /**
   * The publish time (ms) of message `sequence`, or of the one that follows; undefined when there is none. Within a
   * second, and without a read where the index alone says as much; else one of 64 KiB, at once.
   */
  timeOf(topic: number, sequence: number): number | undefined {
    const segment = this.#segmentOf(topic, sequence);
    const index = segment?.topics.get(topic);
    if (!segment || !index) return undefined;
    const entry = lastAtMost(index.sequences, sequence);
    const time = index.times[entry] ?? index.lastTime;
    const next = index.times[entry + 1] ?? index.lastTime;
    const isFirst = sequence <= (index.sequences[entry] ?? 0);
    if (isFirst || next - time < timeToleranceMs) return time;
    return timeIn(segment, { topic, sequence, offset: index.offsets[entry] ?? 0 }) ?? next;
  }

  #segmentOf(topic: number, sequence: number): Segment | undefined {
    for (const segment of this.#segments()) {
      const index = segment.topics.get(topic);
      if (index && index.last >= sequence) return segment;
    }
    return undefined;
  }

  async #fill(window: MessageWindow, segment: Segment, topic: number, from: number): Promise<void> {
    let position = from;
    let wanted = windowBytes;
    while (window.length === 0) {
      const end = segment.size;
      if (position >= end) throw damagedAt(segment, position);
      const buffer = wanted === windowBytes ? (this.#free.pop() ?? allocate(wanted)) : allocate(wanted);
      const bytes = await readWhole(segment, buffer, position, Math.min(wanted, end - position));
      window.buffer = buffer;
      const used = collect(window, buffer.subarray(0, bytes), { segment, topic, position });
      if (window.length === 0) window.release();
      wanted = windowBytes;
      if (used === 0) wanted = recordBytes(buffer, 0);
      position += used;
    }
    window.segment = segment;
    window.offset = position;
  }
}

/** Of the first record that ends at `sequence` or later, from `offset` on to the next that is indexed. */
function timeIn(
  segment: Segment,
  { topic, sequence, offset }: { topic: number; sequence: number; offset: number },
): number | undefined {
  const length = Math.min(indexStrideBytes + headerBytes + messagesHeaderBytes, segment.size - offset);
  const buffer = readAt(segment.fd, offset, length);
  let at = 0;
  while (at + headerBytes + messagesHeaderBytes <= buffer.length) {
    // Whoever reads the messages is told.
    if (buffer.readUInt32LE(at) !== magicNumber) return undefined;
    const start = at + headerBytes;
    const end = at + recordBytes(buffer, at);
    if (buffer.readUInt32LE(at + 20) === recordKinds.messages) {
      const position = positionOf(buffer, { start, end });
      if (position.topic === topic && position.first + position.count > sequence) return position.time;
    }
    at = end;
  }
  return undefined;
}

function release(window: MessageWindow, answer: number | undefined): number | undefined {
  window.release();
  return answer;
}

/** Takes the wanted messages of all records that are complete in `buffer`; returns where they end. */
function collect(
  window: MessageWindow,
  buffer: Buffer,
  { segment, topic, position }: { segment: Segment; topic: number; position: number },
): number {
  let at = 0;
  while (at + headerBytes + messagesHeaderBytes <= buffer.length) {
    if (buffer.readUInt32LE(at) !== magicNumber) throw damagedAt(segment, position + at);
    const isWanted =
      buffer.readUInt32LE(at + 20) === recordKinds.messages &&
      buffer.readUInt32LE(at + headerBytes) === topic;
    if (isWanted) {
      const record = readRecord(buffer, at, segment.number);
      if (record === 'short') break;
      if (record === 'bad') throw damagedAt(segment, position + at);
      collectRecord(window, buffer, record);
    }
    const end = at + recordBytes(buffer, at);
    if (end > buffer.length) break;
    at = end;
  }
  return at;
}

function collectRecord(window: MessageWindow, buffer: Buffer, record: { start: number; end: number }): void {
  const { first, count, time } = positionOf(buffer, record);
  let at = record.start + messagesHeaderBytes;
  for (let sequence = first; sequence < first + count; sequence++) {
    const start = at + 4;
    at = start + buffer.readUInt32LE(at);
    if (sequence < window.next) continue;
    window.sequences.push(sequence);
    window.times.push(time);
    window.starts.push(start);
    window.ends.push(at);
  }
  window.next = Math.max(window.next, first + count);
}

function allocate(bytes: number): Buffer {
  return Buffer.allocUnsafeSlow(bytes);
}

/** @throws DamagedFolder when the file ends before `length` bytes. */
export async function readWhole(
  segment: Segment,
  buffer: Buffer,
  position: number,
  length: number,
): Promise<number> {
  const bytes = await readOnce(segment.fd, buffer, position, length);
  if (bytes === length) return bytes;
  throw new DamagedFolder(`${segment.path} ends at byte ${position + bytes}, before what it has to hold.`);
}
