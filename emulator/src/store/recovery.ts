/**
 * Opens a data folder: what is there, whether all of it is there, and what came after the last checkpoint.
 *
 * Sealed segments give their index (one read each); the last segment is read in full, at most a segment's
 * length, and each record after the checkpoint is replayed. Nothing is changed before everything was looked at.
 */
import { closeSync, fstatSync, openSync, readdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { advice, checkpointPath, readCheckpoint } from './checkpoint.ts';
import { DamagedFolder } from './errors.ts';
import { createSegment } from './log.ts';
import { positionOf, type RecordHeader, readRecord, recordKinds } from './record.ts';
import { indexTrailerBytes, Segment, segmentName, unfinishedSuffix } from './segment.ts';
import { checkTail, cutTail, damagedAt, readAt, scanSegment } from './tail.ts';

export interface Recovered {
  segments: Segment[];
  /** Of the last commit in the last segment; 0 when it has none. */
  commit: number;
  warnings: string[];
  /** The segment of the last checkpoint. */
  checkpointedFrom: number;
}

export interface RecoveryTarget {
  restore(state: unknown): void;
  replay(record: RecordHeader, buffer: Buffer): void;
}

export async function recover(folder: string, target: RecoveryTarget): Promise<Recovered> {
  const checkpoint = readCheckpoint(folder);
  const names = readdirSync(folder);
  const numbers = names
    .flatMap((name) => /^(\d{8})\.log$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
  const from = checkpoint?.segment ?? 0;
  // A segment before the checkpoint that it does not name was about to be deleted.
  const leftOver = numbers.filter((number) => number < from && !checkpoint?.segments.includes(number));
  const segments = numbers
    .filter((number) => !leftOver.includes(number))
    .map((number) => open(folder, number));
  const unbegun = takeUnbegun(segments, from);
  checkOrder(folder, segments, from);
  if (checkpoint) target.restore(checkpoint.state);
  const deleted = new Set<number>();
  const cuts: (() => string)[] = [];
  let commit = 0;
  for (const [position, segment] of segments.entries()) {
    const start = segment.number === from ? (checkpoint?.offset ?? 0) : 0;
    const isLast = position === segments.length - 1;
    if (segment.number < from && readIndex(segment)) continue;
    const last = load(segment, {
      isLast,
      replayFrom: segment.number < from ? Infinity : start,
      target,
      deleted,
    });
    // A segment is followed by another only once its index was on disk.
    if (!isLast && !segment.isSealed) throw damagedAt(segment, last.end);
    commit = last.commit;
    if (segment.number === from && last.end < start) throw damagedAt(segment, last.end);
    if (!last.isCut) continue;
    cuts.push(() => cutTail(segment, last.end, last.fileBytes));
  }
  for (const number of checkpoint?.segments ?? []) {
    if (!numbers.includes(number) && !deleted.has(number)) throw missing(join(folder, segmentName(number)));
  }
  const warnings = cuts.map((cut) => cut());
  const unfinished = names.filter((name) => name.endsWith(unfinishedSuffix));
  for (const name of [...[...leftOver, ...unbegun].map(segmentName), ...unfinished]) {
    unlinkSync(join(folder, name));
  }
  if (segments.length === 0 || segments.at(-1)?.isSealed) {
    segments.push(await createSegment(folder, (segments.at(-1)?.number ?? 0) + 1));
    commit = 0;
  }
  return { segments, commit, warnings, checkpointedFrom: from };
}

function open(folder: string, number: number): Segment {
  const path = join(folder, segmentName(number));
  return new Segment(number, path, openSync(path, 'r+'));
}

/** A crash in between leaves the next file empty and the one before it with half an index: that is the last one. */
function takeUnbegun(segments: Segment[], from: number): number[] {
  const last = segments.at(-1);
  const before = segments.at(-2);
  if (!last || !before || before.number < from || fstatSync(last.fd).size > 0) return [];
  segments.pop();
  closeSync(last.fd);
  return [last.number];
}

/** After the checkpoint every segment is still there, one after the other. */
function checkOrder(folder: string, segments: Segment[], from: number): void {
  const tail = segments.filter(({ number }) => number >= from);
  // Without a checkpoint the log is all there is, from its beginning on.
  if (from === 0 && tail[0] && tail[0].number !== 1) throw missing(checkpointPath(folder));
  for (const [position, { number }] of tail.entries()) {
    const wanted = (tail[0]?.number ?? 0) + position;
    if (number === wanted) continue;
    throw missing(join(folder, segmentName(wanted)));
  }
}

function missing(path: string): DamagedFolder {
  return new DamagedFolder(`${path} is missing. ${advice}`);
}

/** The index of a sealed segment, from its last record. */
function readIndex(segment: Segment): boolean {
  const fileBytes = fstatSync(segment.fd).size;
  if (fileBytes < indexTrailerBytes) return false;
  const at = readAt(segment.fd, fileBytes - indexTrailerBytes, indexTrailerBytes).readUIntLE(
    0,
    indexTrailerBytes,
  );
  if (at >= fileBytes - indexTrailerBytes) return false;
  const buffer = readAt(segment.fd, at, fileBytes - indexTrailerBytes - at);
  const record = readRecord(buffer, 0, segment.number);
  if (typeof record !== 'object' || record.kind !== recordKinds.index) return false;
  segment.decodeIndex(buffer.subarray(record.start, record.end));
  segment.size = fileBytes;
  segment.isSealed = true;
  return true;
}

function load(
  segment: Segment,
  options: { isLast: boolean; replayFrom: number; target: RecoveryTarget; deleted: Set<number> },
): { end: number; commit: number; fileBytes: number; isCut: boolean } {
  const fileBytes = fstatSync(segment.fd).size;
  const { end, commit } = scanSegment(segment, 0, fileBytes, (record, buffer, offset) => {
    if (record.kind === recordKinds.index) segment.isSealed = true;
    if (record.kind === recordKinds.messages) {
      segment.add(positionOf(buffer, record), offset);
    }
    if (record.kind === recordKinds.deleted) {
      for (let at = record.start; at < record.end; at += 4) options.deleted.add(buffer.readUInt32LE(at));
    }
    if (offset >= options.replayFrom) options.target.replay(record, buffer);
  });
  segment.size = end;
  const isTrailer = segment.isSealed && fileBytes - end <= indexTrailerBytes;
  if (isTrailer) segment.size = fileBytes;
  else if (end < fileBytes) {
    if (!options.isLast) throw damagedAt(segment, end);
    checkTail(segment, end, commit, fileBytes);
  }
  return { end, commit, fileBytes, isCut: !isTrailer && end < fileBytes };
}
