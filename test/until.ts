/** Waiting in tests: for a condition, never for a time. */
import { setTimeout as pause } from 'node:timers/promises';

/** Short beside what is waited for, so that states that last a moment are seen too. */
const pollMs = 5;

/**
 * Asks again until `condition` holds, without one until the answer is true, and returns that answer. Without a limit of
 * its own: a test that hangs is ended by the runner's.
 */
export async function until<T>(
  ask: () => T | Promise<T>,
  condition: (value: T) => boolean = Boolean,
): Promise<T> {
  for (;;) {
    const value = await ask();
    if (condition(value)) return value;
    await pause(pollMs);
  }
}
