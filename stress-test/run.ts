import { CannotRun } from '../command-line/cannot-run.ts';

/** A load that has ended, as a client saw it: what the audit judges by. */
export interface Run {
  /** When it began, by the api's clock; no request was sent before the next full second. */
  beganAt: Date;
  /** Requests to GET /api/data, answered or not. */
  sent: number;
  confirmed: number;
  /** Requests that certainly stored nothing (outcome.js). */
  refused: number;
  /** Of the confirmed, those whose ids are in `idsFile`. */
  recorded: number;
  /** The newest second, in Unix time, in which a recorded id was made. */
  lastSecond: number;
  idsFile: string;
  /** What was answered instead of a confirmation, and how often; nothing of a run of k6. */
  failures: Record<string, number>;
  /**
   * Of a run with keys, undefined without. In such a run `sent` counts requests with a key of their own and not their
   * repeats, none of them is `refused`, and `lastSecond` is 0, because ids of keys have no time.
   */
  keyed?: KeyedOutcomes | undefined;
}

export interface KeyedOutcomes {
  /** Requests beside the first one of each key. */
  repeats: number;
  /** Answers that named other ids than an earlier answer to the same key. */
  idsChanged: number;
}

export type Outcomes = Pick<Run, 'sent' | 'confirmed' | 'refused'>;

/** Requests whose writes may or may not be stored, those that were broken off included. */
export function unknownCount({ sent, confirmed, refused }: Outcomes): number {
  return sent - confirmed - refused;
}

/** A reason why nothing was judged: a bad file, or an api or MongoDB that is not there. */
export class NotJudged extends CannotRun {
  override name = 'NotJudged';
}
