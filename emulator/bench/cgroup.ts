/**
 * A group of processes under a limit of memory and of CPU: cgroup version 1, by root.
 * https://docs.kernel.org/admin-guide/cgroup-v1/memory.html, https://docs.kernel.org/scheduler/sched-bwc.html,
 * https://docs.kernel.org/admin-guide/cgroup-v1/cpusets.html
 */
import { accessSync, constants, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const root = '/sys/fs/cgroup';
const controllers = ['memory', 'cpu', 'cpuset'] as const;
const periodMicros = 100_000;

export interface Cgroup {
  /** What runs a command in it: `[...wrapper, command, ...arguments]`. */
  wrapper: string[];
  /** The most that it used, with the page cache, which it gives back where it is short. */
  peakBytes(): number;
  /** Processes that were ended for want of memory. */
  oomKillCount(): number;
  /** Once its processes are gone; also when this process ends. */
  remove(): void;
}

/** @returns why there can be none here. */
export function whyNoCgroup(): string | undefined {
  const missing = controllers.filter((controller) => !isWritable(join(root, controller, 'cgroup.procs')));
  return missing.length === 0
    ? undefined
    : `needs root and cgroup v1; not writable: ${missing.map((controller) => join(root, controller)).join(', ')}`;
}

/** @param limits `cpus` names those that it may run on, such as `0` or `0-1`; all without it. */
export function createCgroup(limits: {
  name: string;
  memoryBytes: number;
  cores: number;
  cpus?: string;
}): Cgroup {
  const [memory, cpu, cpuset] = controllers.map((controller) =>
    join(root, controller, `${limits.name}-${process.pid}`),
  ) as [string, string, string];
  const folders = [memory, cpu, cpuset];
  for (const folder of folders) mkdirSync(folder);
  const ofAll = (file: string) => readFileSync(join(root, 'cpuset', file), 'utf8');
  writeFileSync(join(cpuset, 'cpuset.mems'), ofAll('cpuset.mems'));
  writeFileSync(join(cpuset, 'cpuset.cpus'), limits.cpus ?? ofAll('cpuset.cpus'));
  writeFileSync(join(memory, 'memory.limit_in_bytes'), String(limits.memoryBytes));
  writeFileSync(join(cpu, 'cpu.cfs_period_us'), String(periodMicros));
  writeFileSync(join(cpu, 'cpu.cfs_quota_us'), String(limits.cores * periodMicros));
  const enter = folders.map((folder) => `echo $$ > ${folder}/cgroup.procs`).join(' && ');
  const read = (file: string) => readFileSync(join(memory, file), 'utf8');
  const remove = () => {
    process.off('exit', remove);
    for (const folder of folders) removeWhenEmpty(folder);
  };
  process.once('exit', remove);
  return {
    wrapper: ['sh', '-c', `${enter} && exec "$0" "$@"`],
    peakBytes: () => Number(read('memory.max_usage_in_bytes')),
    oomKillCount: () => Number(/^oom_kill (\d+)$/m.exec(read('memory.oom_control'))?.[1]),
    remove,
  };
}

const triesMax = 100;
const pauseMs = 20;

/** The kernel takes a moment after the last process; at the end of this one nothing can be awaited. */
function removeWhenEmpty(folder: string): void {
  for (let tries = 1; ; tries++) {
    try {
      rmdirSync(folder);
      return;
    } catch (error) {
      if (tries === triesMax) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, pauseMs);
    }
  }
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
