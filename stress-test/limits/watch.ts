/** Looks at a running system twice a second: the most memory of each part, and whether something is still on its way. */
import { setTimeout as pause } from 'node:timers/promises';
import { formatCount } from '../../command-line/count.ts';
import { showProgress } from '../../command-line/progress.ts';
import { backlogCount } from '../backlog.ts';
import { readMetric } from '../metric.ts';
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

/** Until no publish call is under way, and the broker holds nothing any longer. */
export async function untilDrained({
  api,
  brokerHost,
}: Pick<LimitedSystem, 'api' | 'brokerHost'>): Promise<void> {
  for (;;) {
    // Asked first: what a call has brought is in the backlog when it has ended.
    const calls = await readMetric(api.url, 'api_publish_outstanding_calls');
    const count = await backlogCount(brokerHost);
    if (calls + count === 0) return;
    showProgress(`draining, ${formatCount(count)} envelopes left`);
    await pause(sampleIntervalMs);
  }
}
