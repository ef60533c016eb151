/** Where and what was measured, for the head of the table. */
import { execFileSync } from 'node:child_process';
import { cpus, release, tmpdir, totalmem } from 'node:os';

export interface Machine {
  commit: string;
  cores: number;
  processor: string;
  memoryBytes: number;
  system: string;
  node: string;
  /** Of the temporary folder: device and file system. */
  disk: string;
}

export function describeMachine(): Machine {
  const [processor] = cpus();
  return {
    commit: describeCommit(import.meta.dirname),
    cores: cpus().length,
    processor: processor?.model ?? 'unknown',
    memoryBytes: totalmem(),
    system: `Linux ${release()}`,
    node: process.version,
    disk:
      output('df', ['--output=source,fstype', tmpdir()]).split('\n').at(-1)?.replace(/\s+/, ', ') ??
      'unknown',
  };
}

/** The short hash of what is checked out in `folder`, and whether it was changed. */
export function describeCommit(folder: string): string {
  const hash = output('git', ['rev-parse', '--short', 'HEAD'], folder);
  return output('git', ['status', '--porcelain'], folder) ? `${hash} with changes` : hash;
}

function output(command: string, args: string[], folder = import.meta.dirname): string {
  return execFileSync(command, args, { encoding: 'utf8', cwd: folder }).trim();
}
