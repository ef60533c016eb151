/** Memory that a process cannot give back to its files: RssAnon of /proc (man 5 proc_pid_status). */
import { memoryBytes } from '../../stress-test/memory.ts';

/** Looks ten times a second. */
const sampleMs = 100;

/** Calls `run` and returns the most that was seen meanwhile. */
export async function withPeakRssAnon(pid: number, run: () => Promise<void>): Promise<number> {
  let peak = 0;
  const timer = setInterval(() => {
    peak = Math.max(peak, memoryBytes(pid, 'RssAnon'));
  }, sampleMs);
  try {
    await run();
  } finally {
    clearInterval(timer);
  }
  return Math.max(peak, memoryBytes(pid, 'RssAnon'));
}
