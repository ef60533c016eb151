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
    commit: `${output('git', ['rev-parse', '--short', 'HEAD'])}${output('git', ['status', '--porcelain']) ? ' with changes' : ''}`,
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

function output(command: string, args: string[]): string {
  return execFileSync(command, args, { encoding: 'utf8', cwd: import.meta.dirname }).trim();
}
