/**
 * A real mongod, downloaded once by mongodb-memory-server, which knows MongoDB's build for each system.
 * It is run by us and not by that package, so that its data stays and it has the assessment's limits.
 */
import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { DryMongoBinary } from 'mongodb-memory-server-core';
import { MongoBinaryDownload } from 'mongodb-memory-server-core/lib/util/MongoBinaryDownload.js';
import { waitForLock } from './lock.ts';

/** 7.0 as in the assessment's manifest; this patch has the fixes of CVE-2025-14847 and CVE-2026-6914. */
export const mongodVersion = '7.0.32';

/** Without a byte for this long the download is given up: on a machine without a way out a start must not hang. */
const stallTimeoutMs = 10_000;

export interface DownloadOptions {
  cacheFolder: string;
  /** Percent of the bytes, from 0 to 100. */
  onProgress: (percent: number) => void;
  signal: AbortSignal;
}

/** The downloaded mongod, or where it will be. */
export function mongodFile(cacheFolder: string): string {
  return join(cacheFolder, 'bin', `mongod-${mongodVersion}`);
}

/** @throws Error when it cannot be had, at the latest ten seconds after the last byte. */
export async function downloadMongod(options: DownloadOptions): Promise<string> {
  const file = mongodFile(options.cacheFolder);
  await mkdir(join(options.cacheFolder, 'bin'), { recursive: true });
  const lock = await waitForLock(join(options.cacheFolder, 'lock'), options.signal);
  // What an interrupted download left is in here, too.
  const downloadDir = join(options.cacheFolder, 'mongod-download');
  try {
    if (existsSync(file)) return file;
    await rm(downloadDir, { recursive: true, force: true });
    // The package checks certificates only when npm says so, which npm does no more.
    process.env.npm_config_strict_ssl ??= 'true';
    const found = await DryMongoBinary.generateOptions({ version: mongodVersion, downloadDir });
    const download = new Download({ ...found, downloadDir, checkMD5: true });
    download.onProgress = options.onProgress;
    await rename(await download.getMongodPath(), file);
    return file;
  } finally {
    await rm(downloadDir, { recursive: true, force: true });
    lock.release();
  }
}

class Download extends MongoBinaryDownload {
  onProgress: (percent: number) => void = () => {};

  /** One attempt with a shorter patience than the package's 3 × 60 s. */
  override httpDownload(...args: Parameters<MongoBinaryDownload['httpDownload']>): Promise<string> {
    const [url, options, file, temporaryFile] = args;
    return super.httpDownload(url, options, file, temporaryFile, 1, 0, stallTimeoutMs);
  }

  /** The package would write into the terminal here. */
  override printDownloadProgress(chunk: { length: number }): void {
    this.dlProgress.current += chunk.length;
    this.onProgress(Math.floor((100 * this.dlProgress.current) / Math.max(1, this.dlProgress.length)));
  }
}
