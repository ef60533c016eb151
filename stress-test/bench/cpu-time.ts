/** CPU time so far, from /proc (Linux): user and system time of all threads, in milliseconds. */
import { readFileSync } from 'node:fs';

/** Linux counts in ticks of 10 ms for user space, whatever its own frequency (man 5 proc, sysconf(_SC_CLK_TCK)). */
const tickMs = 10;

/** Of a process, without its children. */
export function cpuTimeMs(pid: number): number {
  return sumFields(pid, 'utime', 'stime');
}

/** Of all children of this process that have ended and were waited for. */
export function endedChildrenCpuTimeMs(): number {
  return sumFields(process.pid, 'cutime', 'cstime');
}

/** Counted from the third on: the second is the command in parentheses and may hold spaces. */
const places = { utime: 11, stime: 12, cutime: 13, cstime: 14 } as const;

function sumFields(pid: number, ...names: (keyof typeof places)[]): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return names.reduce((sum, name) => sum + Number(fields[places[name]]), 0) * tickMs;
}
