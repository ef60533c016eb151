/** Programs of this machine: where they are, and running one to its end. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { openLog, sizeOf, tailLog } from './log-file.ts';
import { signalGroup } from './processes.ts';
import type { RunState } from './run-state.ts';

const run = promisify(execFile);

/** Some wrappers, such as gcloud's, take seconds. */
const answerTimeoutMs = 15_000;

export function findProgram(name: string, folders: readonly string[]): string | undefined {
  return folders.map((folder) => join(folder, name)).find(isProgram);
}

export function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

/** Standard output of a program that answers soon. @throws Error when it does not, or exits with an error. */
export async function askProgram(command: string, args: string[]): Promise<string> {
  const { stdout } = await run(command, args, { timeout: answerTimeoutMs, encoding: 'utf8' });
  return stdout.trim();
}

export interface LongRun {
  name: string;
  logFile: string;
  /** So that it ends with this process, however that ends. */
  runState: Pick<RunState, 'add' | 'remove'>;
  signal: AbortSignal;
}

/** Runs a program that takes its time. @throws Error with the last line that it said. */
export async function runProgram(command: string, args: string[], options: LongRun): Promise<void> {
  options.signal.throwIfAborted();
  const log = openLog(options.logFile);
  const logStart = sizeOf(options.logFile);
  const child = spawn(command, args, { stdio: ['ignore', log.fd, log.fd], detached: true });
  log.close();
  const { pid } = child;
  if (pid !== undefined) options.runState.add(options.name, pid);
  const abort = () => {
    if (pid !== undefined) signalGroup(pid, 'SIGTERM');
  };
  options.signal.addEventListener('abort', abort);
  try {
    const [code, signalName] = await once(child, 'exit');
    if (code === 0) return;
    const said = tailLog(options.logFile, { fromByte: logStart, lines: 1 })[0];
    throw new Error(said ?? (signalName ? `killed by ${signalName}` : `exit code ${code}`));
  } finally {
    options.signal.removeEventListener('abort', abort);
    if (pid !== undefined) options.runState.remove(pid);
  }
}
