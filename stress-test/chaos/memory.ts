/** Resident memory of a process, from /proc (Linux; man 5 proc_pid_status). */
import { readFileSync } from 'node:fs';

/** 0 for a process that is gone. */
export function residentBytes(pid: number): number {
  try {
    return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1_024;
  } catch {
    return 0;
  }
}
