/**
 * Processes known by id and start time, so that what is ended is what was started: an id alone may have
 * passed on to somebody else's process since.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

export interface RecordedProcess {
  name: string;
  pid: number;
  /** Text to compare, from the system; see `startOf`. */
  startedAt: string;
}

const pollMs = 50;

/** After SIGKILL only a process stuck in the kernel stays. */
const killTimeoutMs = 5_000;

const hasProc = existsSync('/proc/self/stat');

/** When the process started, as text to compare; undefined when it is gone or only waits to be reaped. */
export function startOf(pid: number): string | undefined {
  return hasProc ? startFromProc(pid) : startFromPs(pid);
}

export function isAlive({ pid, startedAt }: RecordedProcess): boolean {
  return startOf(pid) === startedAt;
}

/** Signals the process and, as each child is started as the leader of a group of its own, what it started. */
export function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // Gone meanwhile, which is what the signal was for.
  }
}

/** SIGTERM, after `graceMs` SIGKILL. Resolves with what it took, 'gone' when there was nothing to end. */
export async function endProcess(
  recorded: RecordedProcess,
  { graceMs }: { graceMs: number },
): Promise<'gone' | 'ended' | 'killed'> {
  if (!isAlive(recorded)) return 'gone';
  signalGroup(recorded.pid, 'SIGTERM');
  // One that is stopped gets SIGTERM only when it goes on.
  signalGroup(recorded.pid, 'SIGCONT');
  if (await untilGone(recorded, graceMs)) return 'ended';
  signalGroup(recorded.pid, 'SIGKILL');
  await untilGone(recorded, killTimeoutMs);
  return 'killed';
}

async function untilGone(recorded: RecordedProcess, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (isAlive(recorded)) {
    if (performance.now() > deadline) return false;
    await pause(pollMs);
  }
  return true;
}

/** Clock ticks since boot, https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html, and which boot. */
function startFromProc(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name, field 2, may hold spaces and parentheses; fields 3 (state) and 22 (start) come behind it.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
    return `${bootId()}:${fields[19]}`;
  } catch {
    return undefined;
  }
}

function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
  } catch {
    return '';
  }
}

/** macOS and others. */
function startFromPs(pid: number): string | undefined {
  try {
    const output = execFileSync('ps', ['-o', 'stat=', '-o', 'lstart=', '-p', String(pid)], {
      encoding: 'latin1',
      env: { ...process.env, LC_ALL: 'C', TZ: 'UTC' },
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
    const [state, ...start] = output.split(/\s+/);
    return !state || state.startsWith('Z') ? undefined : start.join(' ');
  } catch {
    return undefined;
  }
}
