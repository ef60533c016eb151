/** What every fault is: something that is broken for a time, and then as it was. */
import type { Random } from '../random.ts';
import type { Rig } from '../rig.ts';

export interface Fault {
  /** As --only wants it. */
  name: string;
  /** Parts and links that it breaks; two faults of a round touch none in common. */
  touches: readonly string[];
  /** Why it cannot be had here. */
  missing?: () => string | undefined;
  /** How long the system's own limits let it take to notice. The round has this on top of its time; none without. */
  noticeMs?: number;
  /** Breaks, waits and repairs; resolves when nothing is broken any longer. */
  run(rig: Rig, moment: Moment): Promise<void>;
}

export interface Moment {
  /** How long it stays broken, where the fault does not end by itself. */
  holdMs: number;
  random: Random;
  /** Told once of what only a fault can see, for the report. */
  note(text: string): void;
}
