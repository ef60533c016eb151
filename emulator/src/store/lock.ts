/**
 * One process a data folder. The lock is one of the operating system's on a SQLite file, which Node brings
 * along: it goes with the process, also on kill -9, so there is no stale lock to clear.
 */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { FolderInUse } from './errors.ts';

export interface FolderLock {
  release(): void;
}

/** @throws FolderInUse while another process holds it. */
export function lockFolder(folder: string): FolderLock {
  const database = new DatabaseSync(join(folder, 'lock'), { timeout: 0 });
  try {
    database.exec('PRAGMA journal_mode=MEMORY; BEGIN EXCLUSIVE');
  } catch (cause) {
    database.close();
    const why = `The data folder ${folder} is in use by another emulator. Stop it, or choose another --data-dir.`;
    throw new FolderInUse(why, { cause });
  }
  return { release: () => database.close() };
}
