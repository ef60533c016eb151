/**
 * Reads a segment from a place on, record by record, and tells a commit that was cut short from damage.
 *
 * Only one commit is written at a time, and the next only after the one before it is on disk. (With `process` as the
 * durability it is the operating system's by then: a loss of power may look like damage.) So what a crash
 * leaves behind is a last commit of which any part may be missing. It was confirmed to nobody, and is cut off;
 * its bytes are kept beside the log, those of the newest such commit. If a record of a later commit follows, or a later segment, then the bad
 * record was on disk once and confirmed: that is damage, and an error.
 */
import { readdirSync, readSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { advice } from './checkpoint.ts';
import { DamagedFolder } from './errors.ts';
import { isOutOfRoom } from './file.ts';
import { headerBytes, magic, type RecordHeader, readRecord, recordBytes } from './record.ts';
import type { Segment } from './segment.ts';

const windowBytes = 512 * 1024;

/** Calls `visit` for each good record from `offset` on, whose bytes are there during the call only; returns where they end. */
export function scanSegment(
  segment: Segment,
  offset: number,
  fileBytes: number,
  visit: (record: RecordHeader, buffer: Buffer, offset: number) => void,
): { end: number; commit: number } {
  let position = offset;
  let commit = 0;
  // One for all windows: new memory for each is most of the time of a start with a full last segment.
  let window: Buffer = Buffer.allocUnsafeSlow(Math.min(windowBytes, fileBytes - position));
  while (position < fileBytes) {
    const buffer = readInto(window, segment.fd, position);
    let at = 0;
    let record = readRecord(buffer, at, segment.number);
    while (typeof record === 'object') {
      // Commit numbers never go back in a segment: an older one is left over from something else.
      if (record.commit < commit) record = 'bad';
      if (record === 'bad') break;
      visit(record, buffer, position + at);
      commit = record.commit;
      at = record.end;
      record = readRecord(buffer, at, segment.number);
    }
    position += at;
    const isAtEnd = position + buffer.length - at >= fileBytes;
    if (record === 'bad' || (isAtEnd && at < buffer.length)) break;
    const rest = buffer.length - at;
    const wanted = rest >= headerBytes ? recordBytes(buffer, at) : 0;
    if (wanted > window.length) window = Buffer.allocUnsafeSlow(Math.min(wanted, fileBytes - position));
  }
  return { end: position, commit };
}

/** @throws DamagedFolder when records that were confirmed follow the end of what is good. */
export function checkTail(segment: Segment, end: number, commit: number, fileBytes: number): void {
  if (end === fileBytes) return;
  const rest = readAt(segment.fd, end, fileBytes - end);
  for (let at = rest.indexOf(magic, 1); at >= 0; at = rest.indexOf(magic, at + 1)) {
    const record = readRecord(rest, at, segment.number);
    if (typeof record !== 'object') continue;
    const isLater = record.commit > commit + 1 || (record.commit === commit + 1 && record.isFirstOfCommit);
    if (isLater) throw damagedAt(segment, end);
  }
}

/** Cuts off a commit that was not written completely, and keeps its bytes in a file of its own if there is room. */
export function cutTail(segment: Segment, end: number, fileBytes: number): string {
  const path = `${segment.path}.cut-at-${end}`;
  removeCuts(dirname(path));
  let kept = `Its bytes are in ${path}.`;
  try {
    writeFileSync(path, readAt(segment.fd, end, fileBytes - end), { mode: 0o600 });
  } catch (error) {
    rmSync(path, { force: true });
    if (!isOutOfRoom(error)) throw error;
    kept = 'Its bytes are not kept: the disk has no room for them.';
  }
  truncateSync(segment.path, end);
  return `A commit that was not finished was cut off ${segment.path}; nobody was told that it is kept. ${kept}`;
}

/** A process that is killed again and again would fill the disk with them. */
function removeCuts(folder: string): void {
  for (const name of readdirSync(folder)) if (/\.cut-at-\d+$/.test(name)) rmSync(join(folder, name));
}

export function damagedAt(segment: Segment, offset: number): DamagedFolder {
  return new DamagedFolder(`${segment.path} is damaged at byte ${offset}. ${advice}`);
}

export function readAt(fd: number, position: number, length: number): Buffer {
  return readInto(Buffer.allocUnsafeSlow(length), fd, position);
}

/** @returns what there is of the file from `position` on: all of `buffer`, or its beginning. */
function readInto(buffer: Buffer, fd: number, position: number): Buffer {
  let done = 0;
  while (done < buffer.length) {
    const bytes = readSync(fd, buffer, done, buffer.length - done, position + done);
    if (bytes === 0) break;
    done += bytes;
  }
  return buffer.subarray(0, done);
}
