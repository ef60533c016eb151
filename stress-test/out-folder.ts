/** Where a command leaves its files: --out. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { NotJudged } from './run.ts';

export const defaultOutFolder = join(import.meta.dirname, 'out');

/** Made if it is not there. @throws NotJudged when it cannot be. */
export async function createOutFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true }).catch((cause: Error) => {
    throw new NotJudged(`--out: ${cause.message}`, { cause });
  });
}
