/**
 * What one turn of a batch in MongoDB comes to: which of its documents are refused, and which refusals are believed.
 * Documents that are in neither list of the outcome are stored.
 */
import type { Write } from '@assessment/api/envelope';
import type { CircuitBreaker } from './circuit-breaker.ts';

/** A document that MongoDB will not take, and why. */
export interface Refusal {
  write: Write;
  reason: string;
}

export interface Outcome {
  refusals: Refusal[];
  /** To be stored again when the breaker lets it. */
  held: Write[];
  /** When they were held first. */
  heldSince: number;
}

export interface Round {
  /** A document was stored or is stored already: MongoDB takes commands. */
  taken(): void;
  /** A document was inserted: what was refused before it is believed. */
  inserted(): void;
  /** @param cause a code or the name of an error, for the log */
  refuse(write: Write, cause: string, message: string): void;
  /** Refused by what is stored, whatever MongoDB says of others. */
  refuseForGood(write: Write, reason: string): void;
  hold(writes: readonly Write[]): void;
  /** Counts an answer with `code`, to `write` or to a whole command, and returns how many there were. */
  countAnswer(write: Write | undefined, code: number): number;
  /** Whether more halves of a refused command would only show again that everything is refused. */
  isFutile(): boolean;
  end(): Outcome;
}

/** Documents refused alone, before anything of the batch is stored: a chance neighbourhood of three is rare. */
const refusedAloneMax = 3;

/** @param heldSince of the outcome that held the batch, undefined at its first turn */
export function createRound(breaker: CircuitBreaker, size: number, heldSince?: number): Round {
  /** Others were stored since it was refused, so a refusal now is of what it holds. */
  const isConfirmed = heldSince !== undefined && breaker.hasStoredSince(heldSince);
  const refusals: Refusal[] = [];
  /** Refused since the last insert. */
  let tail: Refusal[] = [];
  const held: Write[] = [];
  const answers = new Map<Write | undefined, number[]>();
  let isTaking = isConfirmed;
  let lastCause = '';

  return {
    taken() {
      isTaking = true;
    },
    inserted() {
      isTaking = true;
      if (tail.length === 0) return;
      refusals.push(...tail);
      tail = [];
    },
    refuse(write, cause, message) {
      lastCause = cause;
      tail.push({ write, reason: `${cause}: ${message}` });
    },
    refuseForGood: (write, reason) => refusals.push({ write, reason }),
    hold: (writes) => held.push(...writes),
    countAnswer(write, code) {
      const codes = answers.get(write) ?? [];
      answers.set(write, codes);
      codes.push(code);
      return codes.filter((other) => other === code).length;
    },
    isFutile: () => tail.length >= refusedAloneMax && breaker.wouldOpen(isTaking ? tail.length : size),
    end() {
      const count = tail.length + held.length;
      const isBelieved = count === 0 || isConfirmed || breaker.refused(count, lastCause);
      if (isBelieved) refusals.push(...tail);
      else held.push(...tail.map(({ write }) => write));
      return { refusals, held, heldSince: isConfirmed ? heldSince : breaker.now() };
    },
  };
}
