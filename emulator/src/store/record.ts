/**
 * One record of the log: a header with a checksum, then its payload.
 *
 * The records of one group commit carry the same commit number, and the first of them a mark. Since a commit
 * is written only after the one before it is on disk, that is enough to tell, after a crash, a commit that was
 * cut short (nobody was ever told that it is kept) from damage to what was confirmed (see tail.ts).
 *
 * Commits are counted from 1 in each segment, of which one of 32 MiB has less than a million: counted over the whole log,
 * 1,000 a second would use up the 31 bits in a month. A folder of before goes on with its count until its last segment
 * is full.
 */
import { crc32 } from 'node:zlib';

export const recordKinds = {
  /** Messages of one topic with consecutive sequence numbers. */
  messages: 1,
  /** A change of topics, subscriptions or snapshots, as JSON. */
  change: 2,
  /** Sequence numbers that a subscription is done with. */
  acks: 3,
  /** Delivery attempts of a subscription that counts them. */
  attempts: 4,
  /** The index of a full segment, its last record. */
  index: 5,
  /** Numbers of segments that are deleted from here on. */
  deleted: 6,
} as const;

export type RecordKind = (typeof recordKinds)[keyof typeof recordKinds];

/** magic, checksum of what follows it, payload length, segment number, commit number, kind: 24 bytes. */
export const headerBytes = 24;

export const magic = Buffer.from('PsR1', 'latin1');
export const magicNumber = magic.readUInt32LE(0);
const firstOfCommit = 0x8000_0000;

export interface RecordHeader {
  kind: RecordKind;
  segment: number;
  commit: number;
  isFirstOfCommit: boolean;
  /** Offset of the payload in the buffer that was read. */
  start: number;
  end: number;
}

/** Writes the header in front of a payload that is already at `at + headerBytes`. */
export function sealRecord(
  buffer: Buffer,
  at: number,
  record: { kind: RecordKind; payloadBytes: number; segment: number; commit: number; isFirst: boolean },
): void {
  buffer.writeUInt32LE(magicNumber, at);
  buffer.writeUInt32LE(record.payloadBytes, at + 8);
  buffer.writeUInt32LE(record.segment, at + 12);
  buffer.writeUInt32LE((record.commit | (record.isFirst ? firstOfCommit : 0)) >>> 0, at + 16);
  buffer.writeUInt32LE(record.kind, at + 20);
  const end = at + headerBytes + record.payloadBytes;
  buffer.writeUInt32LE(crc32(buffer.subarray(at + 8, end)), at + 4);
}

/** The record at `at`; 'short' when the buffer ends before it does, 'bad' when it is none or its checksum differs. */
export function readRecord(buffer: Buffer, at: number, segment: number): RecordHeader | 'short' | 'bad' {
  if (at + headerBytes > buffer.length) return 'short';
  if (buffer.readUInt32LE(at) !== magicNumber) return 'bad';
  const end = at + recordBytes(buffer, at);
  if (end > buffer.length) return 'short';
  if (crc32(buffer.subarray(at + 8, end)) !== buffer.readUInt32LE(at + 4)) return 'bad';
  if (buffer.readUInt32LE(at + 12) !== segment) return 'bad';
  const commit = buffer.readUInt32LE(at + 16);
  return {
    kind: buffer.readUInt32LE(at + 20) as RecordKind,
    segment,
    commit: (commit & ~firstOfCommit) >>> 0,
    isFirstOfCommit: commit >= firstOfCommit,
    start: at + headerBytes,
    end,
  };
}

/** The length of the record whose header is at `at`, unchecked. */
export function recordBytes(buffer: Buffer, at: number): number {
  return headerBytes + buffer.readUInt32LE(at + 8);
}

/** Of the messages of a record. */
export interface MessagesPosition {
  topic: number;
  first: number;
  count: number;
  time: number;
  bytes: number;
}

/** Of a payload of messages: topic, count, first sequence number, publish time in ms. */
export const messagesHeaderBytes = 24;

export function writePosition(
  buffer: Buffer,
  at: number,
  { topic, count, first, time }: Omit<MessagesPosition, 'bytes'>,
): void {
  buffer.writeUInt32LE(topic, at);
  buffer.writeUInt32LE(count, at + 4);
  buffer.writeDoubleLE(first, at + 8);
  buffer.writeDoubleLE(time, at + 16);
}

export function positionOf(buffer: Buffer, record: { start: number; end: number }): MessagesPosition {
  return {
    topic: buffer.readUInt32LE(record.start),
    count: buffer.readUInt32LE(record.start + 4),
    first: buffer.readDoubleLE(record.start + 8),
    time: buffer.readDoubleLE(record.start + 16),
    bytes: record.end - record.start,
  };
}
