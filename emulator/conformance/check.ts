/** A check: one sentence of what Pub/Sub does, where that is written, and a run that proves it over the wire. */
import type { Place } from './place.ts';

export interface Check {
  /** A sentence in the field's verbs. */
  name: string;
  /** Where the service's documentation says so. */
  source: string;
  run(place: Place): Promise<void>;
  /** What this emulator does not have, and refuses: then `run` proves the refusal. */
  refuses?: string;
  /** Where Google's emulator (jar 0.8.20) does something else. Then that is proven there instead of `run`. */
  google?: {
    /** What it does instead. */
    does: string;
    /** True where it follows the documentation, and this emulator refuses. */
    follows?: true;
    run(place: Place): Promise<void>;
  };
  /** It starts emulators of its own, to stop, to kill or to set up: not run where only an address is given. */
  starts?: true;
}

/** A row of the table. */
export interface Feature {
  title: string;
  checks: Check[];
}
