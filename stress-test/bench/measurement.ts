/** What one load on a subject showed. */
import { setTimeout as pause } from 'node:timers/promises';
import { cpuTimeMs, endedChildrenCpuTimeMs } from './cpu-time.ts';
import type { Subject } from './subjects.ts';

export interface LoadResult {
  requests: number;
  failed: number;
  requestsPerSecond: number;
  p50Ms: number;
  p95Ms: number;
  p99Ms: number;
}

export interface Measurement extends LoadResult {
  /** Documents, while the load ran; NaN of what stores nothing. */
  storedPerSecond: number;
  /** Documents that waited when the load ended, in seconds of `storedPerSecond`. */
  backlogSeconds: number;
  /** µs a request, until all of it was stored, by part; `load` is what sent them. */
  cpuMicros: Record<string, number>;
}

const pauseMs = 50;

/** One load, and then the wait until all of it is stored, whose CPU time belongs to the requests as well. */
export async function measure(subject: Subject, load: () => Promise<LoadResult>): Promise<Measurement> {
  const cpuBefore = cpuTimes(subject);
  const before = await subject.counts();
  const start = performance.now();
  const result = await load();
  const seconds = (performance.now() - start) / 1_000;
  const after = await subject.counts();
  const storedPerSecond = (after.stored - before.stored) / seconds;
  await untilStored(subject);
  const cpuAfter = cpuTimes(subject);
  const answered = result.requests - result.failed;
  return {
    ...result,
    storedPerSecond,
    backlogSeconds: (after.accepted - after.stored) / storedPerSecond,
    cpuMicros: Object.fromEntries(
      Object.entries(cpuAfter).map(([part, ms]) => [
        part,
        ((ms - (cpuBefore[part] ?? 0)) * 1_000) / answered,
      ]),
    ),
  };
}

export async function untilStored(subject: Subject): Promise<void> {
  for (;;) {
    const { accepted, stored } = await subject.counts();
    if (!(stored < accepted)) return;
    await pause(pauseMs);
  }
}

function cpuTimes({ parts }: Subject): Record<string, number> {
  const times = Object.entries(parts).map(([part, processes]): [string, number] => [
    part,
    processes.reduce((sum, running) => sum + cpuTimeMs(running.pid()), 0),
  ]);
  return Object.fromEntries([...times, ['load', endedChildrenCpuTimeMs()]]);
}
