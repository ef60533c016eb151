/**
 * The starts of the broker on its data folder, each with a number. Message ids and ack ids have it, so that none is
 * ever given twice: in a folder the numbers count up, and another folder, or the same one emptied, begins elsewhere.
 *
 * The first number is random. Two folders of a few starts each share a number once in ten million times. With the
 * eleven digits after it, a message id stays below 2^63, which those of the service do too.
 */
import { randomInt } from 'node:crypto';

const firstMin = 10_000_000;
const firstMax = 90_000_000;

export interface EpochsState {
  epoch: number;
  /** Not there in what a version without them has written. */
  firstEpoch?: number;
  countedEpochs?: number;
}

export class Epochs {
  /** Of this start; 0 before the first. */
  current = 0;
  #first = 0;
  /** How many starts an older version counted in this folder, from 1 on. Their ack ids still count. */
  #counted = 0;

  /** The number of a start that comes now. */
  next(): number {
    return this.#first === 0 ? randomInt(firstMin, firstMax) : this.current + 1;
  }

  start(epoch: number): void {
    if (this.#first === 0 && epoch >= firstMin) {
      this.#counted = this.current;
      this.#first = epoch;
    }
    this.current = epoch;
  }

  /** Whether there was such a start in this folder, or it is the present one. */
  has(epoch: number): boolean {
    return epoch <= this.current && (epoch >= this.#first || epoch <= this.#counted);
  }

  state(): EpochsState {
    return { epoch: this.current, firstEpoch: this.#first, countedEpochs: this.#counted };
  }

  restore({ epoch, firstEpoch = 0, countedEpochs = 0 }: EpochsState): void {
    this.current = epoch;
    this.#first = firstEpoch;
    this.#counted = countedEpochs;
  }
}
