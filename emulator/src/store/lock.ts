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

const sqliteBusy = 5;

/** @throws FolderInUse while another process holds it, Error when the folder cannot be written. */
export function lockFolder(folder: string): FolderLock {
  const file = join(folder, 'lock');
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(file, { timeout: 0 });
    database.exec('PRAGMA journal_mode=MEMORY; BEGIN EXCLUSIVE');
  } catch (cause) {
    database?.close();
    const { errcode, message } = cause as Error & { errcode?: number };
    if (errcode === sqliteBusy) {
      const why = `The data folder ${folder} is in use by another emulator. Stop it, or choose another --data-dir.`;
      throw new FolderInUse(why, { cause });
    }
    const why = `The data folder ${folder} cannot be written: ${file}: ${message}.`;
    throw new Error(`${why} Let this process write there, or choose another --data-dir.`, { cause });
  }
  const held = database;
  return { release: () => held.close() };
}
