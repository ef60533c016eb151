/**
 * What an ack id says: the subscription, the message, and which of its leases. 23 characters, so that a request with
 * 1,000 of them is read without a string for each. `epoch` is the number of the broker's start: an id from before a
 * restart still acks its message, unless that was delivered again since. An id of another data folder acks nothing
 * (epochs.ts).
 */

export interface AckId {
  subscription: number;
  epoch: number;
  sequence: number;
  generation: number;
}

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const codes = Buffer.from(alphabet, 'latin1');
const values = new Int8Array(256).fill(-1);
for (const [value, code] of codes.entries()) values[code] = value;

const widths = { subscription: 4, epoch: 5, sequence: 8, generation: 6 } as const;
export const ackIdBytes = 23;
/** A consumer may still hold ids from before an update: their epoch was one character shorter. */
const olderAckIdBytes = 22;

/** Writes an ack id of `ackIdBytes` at `at`. */
export function writeAckId(id: AckId, buffer: Buffer, at: number): void {
  writeDigits(buffer, at, id.subscription, widths.subscription);
  writeDigits(buffer, at + 4, id.epoch, widths.epoch);
  writeDigits(buffer, at + 9, id.sequence, widths.sequence);
  writeDigits(buffer, at + 17, id.generation, widths.generation);
}

/** The ack id in `buffer`, or undefined when none was ever written like this. */
export function readAckId(buffer: Buffer, start: number, end: number): AckId | undefined {
  const bytes = end - start;
  if (bytes !== ackIdBytes && bytes !== olderAckIdBytes) return undefined;
  const sequenceStart = end - widths.sequence - widths.generation;
  const subscription = readDigits(buffer, start, widths.subscription);
  const epoch = readDigits(buffer, start + 4, sequenceStart - start - 4);
  const sequence = readDigits(buffer, sequenceStart, widths.sequence);
  const generation = readDigits(buffer, sequenceStart + 8, widths.generation);
  if (subscription < 0 || epoch < 0 || sequence < 0 || generation < 0) return undefined;
  return { subscription, epoch, sequence, generation };
}

function writeDigits(buffer: Buffer, at: number, value: number, width: number): void {
  let rest = value;
  for (let offset = at + width - 1; offset >= at; offset--) {
    // Bit operations are twice as fast and good below 2^31.
    const next = rest > 0x7fff_ffff ? Math.floor(rest / 64) : rest >>> 6;
    buffer[offset] = codes[rest - next * 64] ?? 0;
    rest = next;
  }
}

function readDigits(buffer: Buffer, at: number, width: number): number {
  let value = 0;
  for (let offset = at; offset < at + width; offset++) {
    const digit = values[buffer[offset] ?? 0] ?? -1;
    if (digit < 0) return -1;
    value = value * 64 + digit;
  }
  return value;
}
