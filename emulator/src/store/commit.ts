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

export class Commit {
  buffer: Buffer;
  length = 0;
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

  /** Leaves out the messages, whose publishers are told, and closes the gaps. */
  dropMessages(reason: Error): void {
    const kept = this.#records.filter(({ kind }) => kind !== recordKinds.messages);
    this.messages.reject(reason);
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
