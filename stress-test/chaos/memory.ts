/** Memory of a process, from /proc (Linux; man 5 proc_pid_status). */
import { readFileSync } from 'node:fs';

/** @param field VmRSS, or RssAnon for what is not a file's. @returns 0 for a process that is gone. */
export function residentBytes(pid: number, field: 'VmRSS' | 'RssAnon' = 'VmRSS'): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0) * 1_024;
  } catch {
    return 0;
  }
}
