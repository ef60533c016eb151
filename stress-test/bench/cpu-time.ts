/** CPU time of a process so far, from /proc (Linux): user and system time of all its threads. */
import { readFileSync } from 'node:fs';

/** Linux counts in ticks of 10 ms for user space, whatever its own frequency (man 5 proc, sysconf(_SC_CLK_TCK)). */
const tickMs = 10;

/** @returns milliseconds. */
export function cpuTimeMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The second field is the command in parentheses and may hold spaces; utime and stime are fields 14 and 15.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * tickMs;
}
