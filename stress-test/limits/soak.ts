/** A long load below capacity: memory, open files and latency have to stay as they are. */
import { formatCount } from '../../command-line/count.ts';
import { endProgress, showEverySecond, showProgress } from '../../command-line/progress.ts';
import { median } from '../bench/figures.ts';
import type { Interval } from './generator.ts';
import { runLoad } from './load.ts';
import { formatSoakRow } from './report.ts';
import { readStored, type StoredFigures } from './stored.ts';
import { measureSystem, type PartName } from './system.ts';
import { untilDrained } from './watch.ts';

export interface SoakFigures extends StoredFigures {
  perSecond: number;
  capacityPerSecond: number;
  rows: SoakRow[];
  accepted: number;
  refused: number;
  failed: number;
  unsent: number;
}

export interface SoakRow {
  minute: number;
  acceptedPerSecond: number;
  /** The median second's, of those in which something was accepted. */
  p50Ms: number;
  p99Ms: number;
  memoryBytes: Record<PartName, number>;
  handles: Record<PartName, number>;
}

const loadShare = 0.7;
const rowSeconds = 60;
const capacitySeconds = 20;
const capacityConnections = 200;
const connectionsMax = 5_000;

export async function measureSoak({ seconds }: { seconds: number }): Promise<SoakFigures> {
  return measureSystem({}, async (system) => {
    const url = `${system.api.url}/api/data`;
    const load = { connections: capacityConnections, seconds: capacitySeconds, pace: 'patient' } as const;
    const loadFor = (what: string) =>
      showEverySecond(runLoad(url, load, system.loadWrapper), (passed) =>
        showProgress(`${what}, ${passed} s`, passed / capacitySeconds),
      );
    const warmUp = await loadFor('warming up');
    await untilDrained(system);
    const atCapacity = await loadFor('capacity');
    const capacity = atCapacity.accepted / capacitySeconds;
    await untilDrained(system);
    const rate = Math.round(capacity * loadShare);
    const rows: SoakRow[] = [];
    let minute: Interval[] = [];
    let passed = 0;
    const endMinute = () => {
      const row = formRow(rows.length + 1, minute, system.memory(), system.handles());
      rows.push(row);
      minute = [];
      endProgress();
      console.error(formatSoakRow(row));
    };
    const whole = await runLoad(
      url,
      {
        connections: connectionsMax,
        seconds,
        pace: rate,
        onSecond(interval) {
          minute.push(interval);
          if (minute.length === rowSeconds) endMinute();
          passed++;
          const accepted = `${formatCount(interval.accepted)} accepted/s`;
          showProgress(`minute ${rows.length + 1}: ${accepted}`, passed / seconds);
        },
      },
      system.loadWrapper,
    );
    // The last minute has a second less: the load ends before it is told.
    if (minute.length > 0) endMinute();
    await untilDrained(system);
    const { accepted, refused, failed, unsent } = whole;
    return {
      perSecond: rate,
      capacityPerSecond: capacity,
      rows,
      ...{ accepted, refused, failed, unsent },
      ...(await readStored(
        system,
        [warmUp, atCapacity, whole].flatMap(({ ids = [] }) => ids),
      )),
    };
  });
}

export function formRow(
  minute: number,
  seconds: readonly Interval[],
  memoryBytes: SoakRow['memoryBytes'],
  handles: SoakRow['handles'],
): SoakRow {
  const accepted = seconds.reduce((sum, interval) => sum + interval.accepted, 0);
  const answered = seconds.filter((interval) => interval.accepted > 0);
  return {
    minute,
    acceptedPerSecond: accepted / seconds.length,
    p50Ms: median(answered.map(({ acceptedMs }) => acceptedMs.p50)),
    p99Ms: median(answered.map(({ acceptedMs }) => acceptedMs.p99)),
    memoryBytes,
    handles,
  };
}
