/**
 * Which segments to delete, and which to compact.
 *
 * A segment of which nobody needs a message goes at once. One message that is never acked would keep 32 MiB; so
 * neighbours are compacted into one when that frees three quarters of their bytes, which costs at most a third of a
 * byte written for each one freed, or when it makes one file of sixteen. What is needed of them has to have stayed the
 * same for a minute: a backlog that is being delivered frees whole segments by itself, and faster.
 */
import type { Segment, TopicIndex } from './segment.ts';

/** What the broker still needs. */
export interface Need {
  /** How many messages of `topic` at most, of those that `index` is about. */
  count(topic: number, index: TopicIndex): number;
  has(topic: number, sequence: number, time: number): boolean;
}

const settledMs = 60_000;
const neededShareMax = 1 / 4;
const filesMin = 16;
/** Of one compaction: it reads 256 MiB at most. */
const runSegmentsMax = 8;
const runFilesMax = 64;

/** Notes how many bytes of a segment are needed, and since when they are as many. */
export function noteNeed(segment: Segment, need: Need, now: number): void {
  let bytes = 0;
  for (const [topic, index] of segment.topics) {
    const count = Math.min(index.count, need.count(topic, index));
    bytes += Math.ceil((index.bytes / index.count) * count);
  }
  if (bytes !== segment.neededBytes) segment.neededSinceMs = now;
  segment.neededBytes = bytes;
}

/**
 * The first neighbours that are worth a compaction now, the longest run of them.
 * @returns none, and when there may be some: ms, or infinity
 */
export function chooseRun(
  segments: readonly Segment[],
  segmentBytes: number,
  now: number,
): { run: Segment[]; dueMs: number } {
  const settled = firstRun(segments, segmentBytes, ({ neededSinceMs }) => neededSinceMs + settledMs <= now);
  if (settled.length > 0) return { run: settled, dueMs: now };
  const later = firstRun(segments, segmentBytes, () => true);
  if (later.length === 0) return { run: [], dueMs: Number.POSITIVE_INFINITY };
  return { run: [], dueMs: settledMs + Math.max(...later.map(({ neededSinceMs }) => neededSinceMs)) };
}

function firstRun(
  segments: readonly Segment[],
  segmentBytes: number,
  isSettled: (segment: Segment) => boolean,
): Segment[] {
  for (const start of segments.keys()) {
    let bytes = 0;
    let neededBytes = 0;
    let worth = 0;
    for (let end = start; end < segments.length && end < start + runFilesMax; end++) {
      const segment = segments[end] as Segment;
      bytes += segment.size;
      neededBytes += segment.neededBytes ?? segment.size;
      if (!isSettled(segment) || neededBytes > segmentBytes || bytes > runSegmentsMax * segmentBytes) break;
      const files = end - start + 1;
      if (neededBytes <= bytes * neededShareMax || files >= filesMin) worth = files;
    }
    if (worth > 0) return segments.slice(start, start + worth);
  }
  return [];
}
