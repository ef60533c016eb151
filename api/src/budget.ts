/**
 * The memory that requests may hold, as one sum of bytes: what a request itself takes (admission.ts), its body as far as it
 * has arrived, its writes until the broker has confirmed them (publisher.ts), and a document that is being sent. Over the
 * sum the answer is 503 `overloaded`.
 *
 * What does not wait is not counted. A body is unpacked, parsed, checked and encoded in one turn of the event loop, so the
 * objects that it becomes, up to 22 times its size (`[{},{},…]`), are there once and not for each request: what waits is
 * bytes.
 *
 * A body is `arriving` → arrived, or refused. Bodies that arrive, with their requests, may hold half of the sum, so that
 * clients who send slowly or stop leave the other half to requests that wait for no client. Over that half the body that
 * has been silent for longest is refused: one that comes without a pause is never that one, however many others are slow. A
 * length that was declared and does not come counts nothing.
 */
import { ApiError } from './errors.ts';

/** Memory of a request in flight, beside that of its connection and its writes: 8 to 15 kB were measured with 8,000. */
export const requestBytes = 14 * 1024;

const arrivingShare = 1 / 2;

/** What a body begins with; as it grows this is doubled. */
const bodyBytesMin = 1_024;

export const overloaded = new ApiError('overloaded', 'Too many requests are in flight. Try again.');

export class Budget {
  readonly #bytesMax: number;
  #held = 0;
  #arriving = 0;
  /** The one that has been silent for longest is the first. */
  readonly #arrivals = new Set<Arrival>();

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get heldBytes(): number {
    return this.#held;
  }

  /** @returns false when there is no room; then nothing is taken. */
  take(bytes: number): boolean {
    if (this.#held + bytes > this.#bytesMax) return false;
    this.#held += bytes;
    return true;
  }

  /** As `take`, whether there is room or not: for what a request that was let in cannot do without. */
  hold(bytes: number): void {
    this.#held += bytes;
  }

  give(bytes: number): void {
    this.#held -= bytes;
  }

  /**
   * The body of a request that is counted already.
   * @param onRefused is called once when the body is given up before its end.
   */
  arrive(bytesMax: number, onRefused: (error: ApiError) => void): Arrival {
    const arrival = new Arrival(this, bytesMax, onRefused);
    this.#arriving += requestBytes;
    this.hear(arrival, 0);
    return arrival;
  }

  /** Gives up all bodies that are still arriving. */
  refuseArrivals(error: ApiError): void {
    for (const arrival of this.#arrivals) arrival.refuse(error);
  }

  /** For an arrival that is heard of and needs `bytes` more. @returns false when it was refused. */
  hear(arrival: Arrival, bytes: number): boolean {
    this.#arrivals.delete(arrival);
    this.#arrivals.add(arrival);
    if (!this.take(bytes)) {
      arrival.refuse(overloaded);
      return false;
    }
    arrival.heldBytes += bytes;
    this.#arriving += bytes;
    for (const silent of this.#arrivals) {
      if (this.#arriving <= this.#bytesMax * arrivingShare) break;
      silent.refuse(overloaded);
    }
    return this.#arrivals.has(arrival);
  }

  /** For an arrival that is at its end; what it holds it gives back by itself. */
  leave(arrival: Arrival): void {
    if (this.#arrivals.delete(arrival)) this.#arriving -= requestBytes + arrival.heldBytes;
  }
}

/** A body, in one buffer: as a list, pieces of one byte would take 200 bytes each. */
export class Arrival {
  /** Of the body so far, also of one that is too long to be kept. */
  length = 0;
  heldBytes = 0;
  /** Refused, or released by whoever asked for it. */
  isOver = false;
  #buffer = Buffer.alloc(0);
  readonly #budget: Budget;
  readonly #bytesMax: number;
  readonly #onRefused: (error: ApiError) => void;

  constructor(budget: Budget, bytesMax: number, onRefused: (error: ApiError) => void) {
    this.#budget = budget;
    this.#bytesMax = bytesMax;
    this.#onRefused = onRefused;
  }

  /** Of a body that is over its maximum nothing is kept. */
  add(piece: Buffer): void {
    if (this.isOver) return;
    const start = this.length;
    this.length += piece.length;
    const size = this.#sizeFor(this.length);
    if (!this.#budget.hear(this, size - this.#buffer.length)) return;
    if (size !== this.#buffer.length) {
      const grown = Buffer.allocUnsafeSlow(size);
      this.#buffer.copy(grown, 0, 0, Math.min(start, size));
      this.#buffer = grown;
    }
    if (size > 0) piece.copy(this.#buffer, start);
  }

  #sizeFor(length: number): number {
    if (length > this.#bytesMax) return 0;
    const size = this.#buffer.length;
    return length <= size ? size : Math.min(this.#bytesMax, Math.max(length, 2 * size, bodyBytesMin));
  }

  /** The whole body, which is held until `release`. */
  end(): Buffer {
    this.#budget.leave(this);
    return this.#buffer.subarray(0, this.length);
  }

  refuse(error: ApiError): void {
    if (this.isOver) return;
    this.release();
    this.#onRefused(error);
  }

  /** Also when it is over already. */
  release(): void {
    this.isOver = true;
    this.#budget.leave(this);
    this.#budget.give(this.heldBytes);
    this.heldBytes = 0;
    this.#buffer = Buffer.alloc(0);
  }
}
