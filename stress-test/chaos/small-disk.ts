/** A disk of its own for a part's data, that can be made full and given room again: a tmpfs (man 5 tmpfs), by root. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { createFolder } from '../../test/process.ts';

export interface SmallDisk {
  folder: string;
  /** No room for another page. */
  fill(): void;
  free(): void;
}

/** @returns why there can be none here. */
export function whyNoDisk(): string | undefined {
  const tried = spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']);
  return tried.status === 0 ? undefined : 'needs root, to mount a tmpfs';
}

const fillTriesMax = 100;

/** @param bytes its room; memory is taken only for what is stored. */
export function mountDisk(bytes: number): SmallDisk {
  const folder = join(createFolder(), 'disk');
  mkdirSync(folder);
  const mount = (options: string) =>
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', folder], { stdio: 'pipe' });
  mount(`size=${bytes}`);
  // Before the folder around it is removed.
  process.prependOnceListener('exit', () => spawnSync('umount', ['-l', folder]));
  return {
    folder,
    fill() {
      for (let tries = 1; ; tries++) {
        const { blocks, bfree, bsize } = statfsSync(folder);
        try {
          mount(`remount,size=${Math.max(1, blocks - bfree) * bsize}`);
          return;
        } catch (error) {
          // Refused when more has been stored since it was looked at.
          if (tries === fillTriesMax) throw error;
        }
      }
    },
    free: () => void mount(`remount,size=${bytes}`),
  };
}
