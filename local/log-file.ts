/**
 * The log of a child, which writes into the file itself, so that its output costs this process nothing
 * and goes on when this process dies.
 */
import { closeSync, copyFileSync, openSync, readSync, statSync, truncateSync } from 'node:fs';

/**
 * Bytes of one log, checked every few seconds; with the one before it at most twice that. 10 MiB are
 * some 50,000 lines of JSON: the last hours of a child that warns ten times a second.
 */
const logBytesMax = 10 * 1024 * 1024;

const tailBytes = 8 * 1024;
const tailLineCharactersMax = 200;

/** Opened to append: what is written after `trimLog` cut the file to nothing lands at its start. */
export function openLog(file: string): { fd: number; close(): void } {
  const fd = openSync(file, 'a');
  return { fd, close: () => closeSync(fd) };
}

/** Copied and cut instead of renamed, because the child holds the file open. */
export function trimLog(file: string, bytesMax = logBytesMax): void {
  if (sizeOf(file) <= bytesMax) return;
  try {
    copyFileSync(file, `${file}.1`);
  } catch {
    // No room for the old half; the bound matters more.
  }
  truncateSync(file);
}

export function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

/** The last lines that came after the first `fromByte` bytes, cut to what fits a screen. */
export function tailLog(file: string, { fromByte = 0, lines = 5 } = {}): string[] {
  const size = sizeOf(file);
  // The file was cut meanwhile when it is shorter than it was.
  const start = Math.max(size < fromByte ? 0 : fromByte, size - tailBytes);
  const buffer = Buffer.alloc(size - start);
  if (buffer.length === 0) return [];
  const { fd, close } = openToRead(file);
  const bytes = readSync(fd, buffer, 0, buffer.length, start);
  close();
  return buffer
    .toString('utf8', 0, bytes)
    .split('\n')
    .filter((line) => line.trim() !== '')
    .slice(-lines)
    .map((line) => plain(line).slice(0, tailLineCharactersMax));
}

function openToRead(file: string) {
  const fd = openSync(file, 'r');
  return { fd, close: () => closeSync(fd) };
}

/** What a line of JSON, as api, writer and mongod write them, says to a person. */
function plain(line: string): string {
  try {
    const { msg, err } = JSON.parse(line) as { msg?: string; err?: { message?: string } };
    if (typeof msg === 'string') return err?.message ? `${msg}: ${err.message}` : msg;
  } catch {
    // No JSON: as it is.
  }
  return line;
}
