/**
 * Zeros in the data folder, which give way to acks and changes when the disk is full. While they are missing messages are
 * refused: they would take the place that was made for what frees it, since acks free segments and messages never do.
 */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { closeFile, isOutOfRoom, openFile, unlinkFile, writeFully } from './file.ts';

/** 95,000 acks, each in a request of its own and out of order: 44 bytes. Of those that come together 262,000. */
export const reserveBytes = 4 * 1024 * 1024;
/** Written at once. */
const chunkBytes = 512 * 1024;

export class Reserve {
  isThere: boolean;
  #path: string;

  constructor(folder: string) {
    this.#path = join(folder, 'reserve');
    this.isThere = statSync(this.#path, { throwIfNoEntry: false })?.size === reserveBytes;
  }

  /** Puts it back if there is room. @returns whether it is there. */
  async restore(): Promise<boolean> {
    if (this.isThere) return true;
    try {
      await this.#write();
      this.isThere = true;
    } catch (error) {
      await this.release();
      if (!isOutOfRoom(error)) throw error;
    }
    return this.isThere;
  }

  async #write(): Promise<void> {
    const zeros = Buffer.alloc(chunkBytes);
    const file = await openFile(this.#path, 'w', 0o600);
    try {
      for (let at = 0; at < reserveBytes; at += chunkBytes) await writeFully(file, zeros, chunkBytes, at);
    } finally {
      await closeFile(file);
    }
  }

  async release(): Promise<void> {
    this.isThere = false;
    await unlinkFile(this.#path).catch(() => {});
  }
}
