/**
 * The broker's state at the beginning of a segment, so that a start replays only what came after it.
 *
 * One file, replaced as a whole: written beside the old one, synced, renamed over it. A crash leaves the old or
 * the new one. It names the segments that have to be there: a missing one is damage, not an empty log.
 */
import { existsSync, readFileSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { DamagedFolder } from './errors.ts';
import { syncFolder } from './file.ts';

const version = 1;

export interface Checkpoint {
  version: number;
  /** The state covers all before this place of the log. */
  segment: number;
  offset: number;
  segments: number[];
  state: unknown;
}

export function checkpointPath(folder: string): string {
  return join(folder, 'checkpoint.json');
}

export async function writeCheckpoint(
  folder: string,
  checkpoint: Omit<Checkpoint, 'version'>,
): Promise<void> {
  const text = JSON.stringify({ version, ...checkpoint });
  const temporary = `${checkpointPath(folder)}.new`;
  const file = await open(temporary, 'w', 0o600);
  try {
    await file.writeFile(`${crc32(text)}\n${text}\n`);
    await file.sync();
  } catch (error) {
    // On a full disk half of one would keep acks from their place.
    await rm(temporary, { force: true });
    throw error;
  } finally {
    await file.close();
  }
  await rename(temporary, checkpointPath(folder));
  await syncFolder(folder);
}

/** @throws DamagedFolder when it is there and cannot be what was written. */
export function readCheckpoint(folder: string): Checkpoint | undefined {
  const path = checkpointPath(folder);
  if (!existsSync(path)) return undefined;
  const content = readFileSync(path, 'utf8');
  const lineEnd = content.indexOf('\n');
  const text = content.slice(lineEnd + 1, -1);
  if (lineEnd < 1 || Number(content.slice(0, lineEnd)) !== crc32(text)) {
    throw new DamagedFolder(`${path} is damaged: its checksum differs. ${advice}`);
  }
  const checkpoint = JSON.parse(text) as Checkpoint;
  if (checkpoint.version !== version) {
    throw new DamagedFolder(
      `${path} has version ${checkpoint.version}; this emulator reads ${version}. ${advice}`,
    );
  }
  return checkpoint;
}

export const advice =
  'Nothing was changed. Restore the folder from a copy, or move it away to start with an empty one.';
