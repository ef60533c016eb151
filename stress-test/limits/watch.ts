/** Looks at a running system twice a second: the most memory of each part, and whether the broker still holds something. */
import { setTimeout as pause } from 'node:timers/promises';
import { formatCount } from '../../command-line/count.ts';
import { showProgress } from '../../command-line/progress.ts';
import { backlogCount } from '../backlog.ts';
import { type LimitedSystem, mapParts, type PartName } from './system.ts';

const sampleIntervalMs = 500;

export interface Watch {
  /** In bytes, since the beginning. */
  peaks(): Record<PartName, number>;
  stop(): void;
}

export function watchMemory(system: LimitedSystem): Watch {
  let peaks = system.memory();
  const timer = setInterval(() => {
    const memory = system.memory();
    peaks = mapParts((name) => Math.max(peaks[name], memory[name]));
  }, sampleIntervalMs);
  return { peaks: () => peaks, stop: () => clearInterval(timer) };
}

export async function untilDrained({ brokerHost }: Pick<LimitedSystem, 'brokerHost'>): Promise<void> {
  for (;;) {
    const count = await backlogCount(brokerHost);
    if (count === 0) return;
    showProgress(`draining, ${formatCount(count)} envelopes left`);
    await pause(sampleIntervalMs);
  }
}
