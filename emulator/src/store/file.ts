/** The calls to the file system that the log and its compaction make, as promises on plain descriptors. */
import { close, fdatasync, fsync, ftruncate, mkdirSync, open, read, rename, unlink, write } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { promisify } from 'node:util';

export const openFile = promisify(open);
export const truncateFile = promisify(ftruncate);
export const unlinkFile = promisify(unlink);
export const closeFile = promisify(close);
export const renameFile = promisify(rename);
const syncWhole = promisify(fsync);

/** Its bytes, and of what describes it only the length. */
export const syncFile = promisify(fdatasync);

/** A file that was made, renamed or deleted in it is so after a loss of power too. */
export async function syncFolder(folder: string): Promise<void> {
  const fd = await openFile(folder, 'r');
  await syncWhole(fd);
  await closeFile(fd);
}

/** With those above it, where they are missing. What is synced in it is lost with a folder that is not itself synced. */
export async function makeFolder(folder: string): Promise<void> {
  const first = mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (first === undefined) return;
  const above = dirname(resolve(first));
  let path = resolve(folder);
  while (path !== above) {
    path = dirname(path);
    await syncFolder(path);
  }
}

export async function writeFully(
  fd: number,
  buffer: Buffer,
  length: number,
  position: number,
): Promise<void> {
  let done = 0;
  while (done < length) {
    done += await new Promise<number>((resolve, reject) => {
      write(fd, buffer, done, length - done, position + done, (error, bytes) => {
        if (error) reject(error);
        else resolve(bytes);
      });
    });
  }
}

/** One call of `read`. @returns how many bytes it brought: fewer than `length` at the end of the file. */
export function readOnce(fd: number, buffer: Buffer, position: number, length: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(fd, buffer, 0, length, position, (error, bytes) => {
      if (error) reject(error);
      else resolve(bytes);
    });
  });
}

const noRoomCodes = new Set<string | undefined>(['ENOSPC', 'EDQUOT', 'EFBIG']);

export function isOutOfRoom(error: unknown): boolean {
  return noRoomCodes.has((error as NodeJS.ErrnoException).code);
}
