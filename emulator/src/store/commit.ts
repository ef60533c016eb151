/**
 * The records that go to disk together: filled while the commit before them is being written, then written with
 * one call and covered by one sync (log.ts). The buffer is used again, because a fresh one of 3 MB for every
 * publish cost 1 to 4 µs of page faults a message.
 */
import { headerBytes, type MessagesPosition, type RecordKind, recordKinds, sealRecord } from './record.ts';

const initialBytes = 256 * 1024;
/** Up to here a buffer doubles. */
const growthBytesMax = 2 * 1024 * 1024;
/** A commit of the usual bound of 4 MiB (limits.ts) fits; what one large publish made longer is not kept. */
const keptBytesMax = 5 * 1024 * 1024;

interface PendingRecord {
  kind: RecordKind;
  at: number;
  payloadBytes: number;
  position: MessagesPosition | undefined;
}

/**
 * What is applied when it is appended: refused for want of room, it is written later, or the log would lack what the
 * broker acts on. The rest is not missed: attempts are a best effort, and segments are deleted after their record.
 */
const appliedKinds = new Set<RecordKind>([recordKinds.change, recordKinds.acks]);

export class Commit {
  buffer: Buffer;
  length = 0;
  /** At its beginning, of what earlier commits were refused. */
  refusedBytes = 0;
  #records: PendingRecord[] = [];
  /** Settle apart, since on a full disk messages are refused while what frees room still gets its place. */
  messages = createAnswer();
  others = createAnswer();

  constructor(buffer: Buffer = Buffer.allocUnsafeSlow(initialBytes)) {
    this.buffer = buffer.length > keptBytesMax ? Buffer.allocUnsafeSlow(initialBytes) : buffer;
  }

  get isEmpty(): boolean {
    return this.length === 0;
  }

  /** Makes room for a payload; it is to be written at the returned offset of `buffer` before the turn ends. */
  reserve(kind: RecordKind, payloadBytes: number, position?: MessagesPosition): number {
    const at = this.length;
    const end = at + headerBytes + payloadBytes;
    if (end > this.buffer.length) {
      const wanted = end > growthBytesMax ? end + initialBytes : this.buffer.length * 2;
      const larger = Buffer.allocUnsafeSlow(Math.max(end, wanted));
      this.buffer.copy(larger, 0, 0, at);
      this.buffer = larger;
    }
    this.#records.push({ kind, at, payloadBytes, position });
    this.length = end;
    return at + headerBytes;
  }

  seal(segment: number, commit: number): void {
    let isFirst = true;
    for (const { kind, at, payloadBytes } of this.#records) {
      sealRecord(this.buffer, at, { kind, payloadBytes, segment, commit, isFirst });
      isFirst = false;
    }
  }

  get hasMessages(): boolean {
    return this.#records.some(({ position }) => position !== undefined);
  }

  /** Leaves out the messages, whose publishers are told. */
  dropMessages(reason: Error): void {
    this.messages.reject(reason);
    this.#keep((kind) => kind !== recordKinds.messages);
  }

  /** Tells all who wait for it, and leaves what has to be written later. */
  refuse(reason: Error): void {
    this.reject(reason);
    this.#keep((kind) => appliedKinds.has(kind));
  }

  /** Puts what a refused commit has left in front. */
  prepend(refused: Commit): void {
    if (refused.isEmpty) return;
    const joined = Buffer.allocUnsafeSlow(Math.max(refused.length + this.length, this.buffer.length));
    refused.buffer.copy(joined, 0, 0, refused.length);
    this.buffer.copy(joined, refused.length, 0, this.length);
    for (const record of this.#records) record.at += refused.length;
    this.#records = [...refused.#records, ...this.#records];
    this.buffer = joined;
    this.length += refused.length;
    this.refusedBytes = refused.length;
  }

  /** Leaves the rest out, and closes the gaps. */
  #keep(isKept: (kind: RecordKind) => boolean): void {
    const kept = this.#records.filter(({ kind }) => isKept(kind));
    this.length = 0;
    for (const record of kept) {
      const end = record.at + headerBytes + record.payloadBytes;
      this.buffer.copy(this.buffer, this.length, record.at, end);
      record.at = this.length;
      this.length += headerBytes + record.payloadBytes;
    }
    this.#records = kept;
  }

  /** Where each record of messages is, counted from the start of the commit. */
  positions(): { position: MessagesPosition; at: number }[] {
    const positions = [];
    for (const { position, at } of this.#records) if (position) positions.push({ position, at });
    return positions;
  }

  resolve(): void {
    this.messages.resolve();
    this.others.resolve();
  }

  reject(reason: Error): void {
    this.messages.reject(reason);
    this.others.reject(reason);
  }
}

function createAnswer() {
  const answer = Promise.withResolvers<void>();
  answer.promise.catch(() => {}); // not every record has somebody who waits for it
  return answer;
}
