/**
 * Lets those who wait for a remedy try again: one of them after a growing pause, the one that has waited longest; and
 * all of them at once when one has succeeded. However many wait, a part that does not recover is asked once a pause.
 */
import { Abandoned } from './abandoned.ts';

export interface Probes {
  /**
   * Resolves when it is this caller's turn to try again. Who fails again, waits again.
   * @throws Abandoned when `signal` is aborted before that.
   */
  wait(signal: AbortSignal): Promise<void>;
  /** A try succeeded: everybody's turn. The next pause is the shortest again. */
  succeeded(): void;
}

/** From the length of a hiccup to 12 tries a minute. */
const pauseMinMs = 100;
const pauseMaxMs = 5_000;

export function createProbes(): Probes {
  const waiting = new Set<() => void>();
  let timer: NodeJS.Timeout | undefined;
  let turns = 0;

  function schedule(): void {
    if (timer || waiting.size === 0) return;
    timer = setTimeout(() => {
      timer = undefined;
      const [first] = waiting;
      turns++;
      first?.();
      schedule();
    }, growingPauseMs(turns));
  }

  return {
    wait(signal) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      if (signal.aborted) reject(new Abandoned());
      const leave = () => {
        waiting.delete(go);
        signal.removeEventListener('abort', abandon);
      };
      const go = () => {
        leave();
        resolve();
      };
      const abandon = () => {
        leave();
        reject(new Abandoned());
      };
      if (!signal.aborted) {
        waiting.add(go);
        signal.addEventListener('abort', abandon);
        schedule();
      }
      return promise;
    },
    succeeded() {
      clearTimeout(timer);
      timer = undefined;
      turns = 0;
      for (const go of [...waiting]) go();
    },
  };
}

/** Random within its upper half, so that processes that failed together do not try again together. */
export function growingPauseMs(failures: number): number {
  return Math.min(pauseMaxMs, pauseMinMs * 2 ** failures) * (0.5 + Math.random() / 2);
}
