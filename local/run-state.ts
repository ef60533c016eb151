/**
 * What runs now, in the data folder: which process is `npm start` and which are its children.
 *
 * `lock` is held while `npm start` lives, so there is one for a data folder. `run.json` is written before
 * anything else happens to a child, and removed at the end of a clean stop. It is found by the guard when
 * `npm start` died, and by the next start when both did.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { reasonOf } from '../command-line/reason.ts';
import { type Lock, tryLock } from './lock.ts';
import { type RecordedProcess, startOf } from './processes.ts';
import { StartError } from './start-error.ts';

const processSchema = z.object({ name: z.string(), pid: z.int().positive(), startedAt: z.string() });

const runSchema = z.object({
  parent: processSchema,
  children: z.array(processSchema),
  /** What the guard ended after the parent had died. */
  endedByGuard: z.array(z.string()).default([]),
});

export type Run = z.output<typeof runSchema>;

export interface RunState {
  /** What an earlier start left behind, if it did not end cleanly. */
  readonly earlier: Run | undefined;
  readonly parent: RecordedProcess;
  add(name: string, pid: number): void;
  remove(pid: number): void;
  /** Says that nothing is left, and gives the data folder free. */
  close(): void;
}

/** @throws StartError when the folder cannot be written or another `npm start` uses it. */
export function openRunState(dataFolder: string): RunState {
  const lock = lockDataFolder(dataFolder);
  const earlier = readRun(dataFolder);
  const parent = { name: 'npm start', pid: process.pid, startedAt: startOf(process.pid) ?? '' };
  // Kept until they are ended: a start that is killed meanwhile must not lose sight of them.
  let children: RecordedProcess[] = earlier?.children ?? [];
  const write = () => writeRun(dataFolder, { parent, children, endedByGuard: [] });
  write();
  return {
    earlier,
    parent,
    add(name, pid) {
      const startedAt = startOf(pid);
      if (startedAt === undefined) return;
      children = [...children, { name, pid, startedAt }];
      write();
    },
    remove(pid) {
      children = children.filter((child) => child.pid !== pid);
      try {
        write();
      } catch {
        // A disk that is full: the record of a process that is gone does no harm.
      }
    },
    close() {
      rmSync(runFile(dataFolder), { force: true });
      lock.release();
    },
  };
}

function lockDataFolder(dataFolder: string): Lock {
  let lock: Lock | undefined;
  try {
    makeFolder(join(dataFolder, 'logs'));
    lock = tryLock(lockFile(dataFolder));
  } catch (error) {
    throw new StartError(
      `DATA_DIR: ${dataFolder} cannot be written (${reasonOf(error)}); set DATA_DIR to a folder that can.`,
    );
  }
  if (lock) return lock;
  const pid = readRun(dataFolder)?.parent.pid;
  throw new StartError(
    `npm start runs already with the data in ${dataFolder}${pid ? ` (process ${pid})` : ''}.\n` +
      'Stop it first, or set DATA_DIR to another folder for a second one.',
  );
}

/** Not mkdir's `recursive`, which in Node 26 never returns for a folder below /proc. */
function makeFolder(folder: string): void {
  if (existsSync(folder)) return;
  makeFolder(dirname(folder));
  mkdirSync(folder);
}

/** Undefined when there is none, or none that can be read. */
export function readRun(dataFolder: string): Run | undefined {
  try {
    return runSchema.parse(JSON.parse(readFileSync(runFile(dataFolder), 'utf8')));
  } catch {
    return undefined;
  }
}

/** For the guard: notes what it ended, unless a new start has the folder by now. */
export function recordEnded(dataFolder: string, run: Run, names: string[]): void {
  const lock = tryLock(lockFile(dataFolder));
  if (!lock) return;
  writeRun(dataFolder, { ...run, children: [], endedByGuard: names });
  lock.release();
}

function writeRun(dataFolder: string, run: Run): void {
  const file = runFile(dataFolder);
  writeFileSync(`${file}.new`, `${JSON.stringify(run, null, 2)}\n`);
  renameSync(`${file}.new`, file);
}

const runFile = (dataFolder: string) => join(dataFolder, 'run.json');
const lockFile = (dataFolder: string) => join(dataFolder, 'lock');
