/**
 * SecantusDB, a MongoDB-protocol server over WiredTiger, for machines that cannot have a mongod: the Rust
 * one where it is built already, else the Python one, which pip installs in 20 s.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { waitForLock } from './lock.ts';
import { findProgram, isProgram, type LongRun, runProgram } from './programs.ts';

const requirement = 'SecantusDB==0.7.0b3';

export const buildCommand = 'cargo install --ignore-rust-version secantus-mdb --version 0.5.3-beta.196';

export function secantusArgs(folder: string, port: number): string[] {
  return [
    ...['--host', '127.0.0.1', '--port', String(port), '--storage-path', folder],
    // The manifest's 0.25 GB; a standalone, so that the driver does not look for a replica set; and what
    // it acknowledges with j:true has to be on disk.
    ...['--standalone', '--cache-size', '256M', '--sync-on-commit'],
  ];
}

/** The installed program, or where it will be. */
export function secantusPyFile(cacheFolder: string): string {
  return join(cacheFolder, 'secantusdb-venv', 'bin', 'secantusd-py');
}

export function isSecantusPyInstalled(cacheFolder: string): boolean {
  return existsSync(completeFile(cacheFolder)) && isProgram(secantusPyFile(cacheFolder));
}

/** Into a virtual environment in the cache folder. @throws Error with what python or pip said last. */
export async function installSecantusPy(
  options: { cacheFolder: string; searchPath: readonly string[] } & LongRun,
): Promise<string> {
  const { cacheFolder } = options;
  const python = findProgram('python3', options.searchPath);
  if (!python) throw new Error('no python3 on PATH');
  await mkdir(cacheFolder, { recursive: true });
  const lock = await waitForLock(join(cacheFolder, 'lock'), options.signal);
  try {
    if (isSecantusPyInstalled(cacheFolder)) return secantusPyFile(cacheFolder);
    const folder = join(cacheFolder, 'secantusdb-venv');
    // Half of one, of an installation that was interrupted.
    await rm(folder, { recursive: true, force: true });
    await runProgram(python, ['-m', 'venv', folder], options);
    await runProgram(
      join(folder, 'bin', 'python3'),
      ['-m', 'pip', 'install', '--no-input', '--disable-pip-version-check', requirement],
      options,
    );
    writeFileSync(completeFile(cacheFolder), `${requirement}\n`);
    return secantusPyFile(cacheFolder);
  } finally {
    lock.release();
  }
}

/** Written last, with what was installed in its name, so that another version is another installation. */
function completeFile(cacheFolder: string): string {
  return join(cacheFolder, 'secantusdb-venv', `complete-${requirement}`);
}
