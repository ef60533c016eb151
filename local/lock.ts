/**
 * A lock on a folder that one process holds and that ends with it, however it ends: SQLite's lock on a
 * file, which is the only one of the operating system's that Node gives without a native add-on. A file
 * with a process id in it would need a second one to take it over from a process that died.
 */
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as pause } from 'node:timers/promises';

export interface Lock {
  release(): void;
}

/** Long enough for the guard, which holds it for a moment, and too short to be noticed. */
const waitMs = 1_000;

const pollMs = 500;

const sqliteBusy = 5;

/** Undefined when another process holds it. @throws Error when the file cannot be written. */
export function tryLock(file: string): Lock | undefined {
  const database = new DatabaseSync(file, { timeout: waitMs });
  try {
    // Nothing is ever stored, so there is nothing to recover after a kill either.
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if ((error as { errcode?: number }).errcode === sqliteBusy) return undefined;
    throw error;
  }
  return { release: () => database.close() };
}

/** Waits for as long as it takes. */
export async function waitForLock(file: string, signal: AbortSignal): Promise<Lock> {
  for (;;) {
    const lock = tryLock(file);
    if (lock) return lock;
    await pause(pollMs, undefined, { signal });
  }
}
