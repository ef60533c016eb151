/** Memory of a process, from /proc (Linux; man 5 proc_pid_status): all that is resident, or what is not a file's. */
import { readFileSync } from 'node:fs';

type Field = 'VmRSS' | 'RssAnon';

export const mebibyte = 1024 ** 2;

/** @returns bytes. @throws Error when the process is gone. */
export function memoryBytes(pid: number, field: Field): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(status)?.[1]) * 1_024;
}

/** @returns bytes, 0 of a process that is gone. */
export function memoryBytesOrNone(pid: number, field: Field): number {
  try {
    return memoryBytes(pid, field) || 0;
  } catch {
    return 0;
  }
}
