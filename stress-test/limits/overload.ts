/**
 * More than the system can take: what it accepts meanwhile, how soon and at what cost it refuses the rest, whether its
 * memory stays bounded, and how long it takes until it answers as before.
 *
 * What it should accept at 3 times its capacity: of a CPU that a success costs c and a refusal r·c, a load of 3/c
 * requests a second leaves a·c + (3 − a·c)·r = 1, so a share of (1 − 3r) / (1 − r) of the best.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { requestBytes } from '../../api/src/budget.ts';
import { formatCount } from '../../command-line/count.ts';
import { showEverySecond, showProgress } from '../../command-line/progress.ts';
import type { Interval } from './generator.ts';
import { type LoadOptions, runLoad } from './load.ts';
import { readStored, type StoredFigures } from './stored.ts';
import { type LimitedSystem, measureSystem, type PartName, partNames } from './system.ts';
import { untilDrained, watchMemory } from './watch.ts';

export interface OverloadFigures extends StoredFigures {
  best: { connections: number; perSecond: number; cpuMicros: number };
  refusalMicros: number;
  /** r: the cost of a refusal over that of a success. */
  costRatio: number;
  /** (1 − 3r) / (1 − r). */
  shareWanted: number;
  closed: Record<'patient' | 'impatient', Overloaded>;
  open: Overloaded & { rate: number; share: number };
  /** From the fall of the load to half the capacity to the first second without a refusal and with p99 below 250 ms. */
  recoverySeconds: number;
}

interface Overloaded extends Interval {
  seconds: number;
  peakBytes: Record<PartName, number>;
}

/** At most; with their writes, which count too, it is a tenth less. */
const inFlightMax = 1_000;
const connectionsClosed = 10_000;
/** As many requests as are under way when each is answered within a second or so. */
const connectionsOpen = 10_000;
const bestConnections = [50, 200, 800];
const overloadFactor = 3;

const refusedSeconds = 3;

/** Longer than the measurement of refusals takes, for which the broker stands still; 5 s by default. */
const publishTimeoutMs = 30_000;

const warmUpSeconds = 5;
const recoveredMs = 250;

export async function measureOverload({ seconds }: { seconds: number }): Promise<OverloadFigures> {
  const env = {
    REQUEST_BYTES_MAX: String(inFlightMax * requestBytes),
    PUBLISH_TIMEOUT_MS: String(publishTimeoutMs),
  };
  return measureSystem(env, async (system) => {
    const url = `${system.api.url}/api/data`;
    const allIds: string[][] = [];
    const load: Load = async (what, options) => {
      const loading = runLoad(url, options, system.loadWrapper);
      const { ids = [], ...interval } = await showEverySecond(loading, (passed) =>
        showProgress(`${what}, ${passed} s`, passed / options.seconds),
      );
      allIds.push(ids);
      return interval;
    };
    await load('warming up', { connections: 100, seconds: warmUpSeconds, pace: 'patient' });
    const best = await measureBest(system, load, seconds);
    const rate = Math.round(overloadFactor * best.perSecond);
    const refusalMicros = await measureRefusal(system, load, rate);
    const costRatio = refusalMicros / best.cpuMicros;
    const closedLoop = `${formatCount(connectionsClosed)} connections, closed loop`;
    const closedAt = async (pace: 'patient' | 'impatient') => {
      const figures = await overload(
        system,
        () => load(closedLoop, { connections: connectionsClosed, seconds, pace }),
        seconds,
      );
      await untilDrained(system);
      return figures;
    };
    const closed = { patient: await closedAt('patient'), impatient: await closedAt('impatient') };
    const open = await overload(
      system,
      () =>
        load(`${formatCount(rate)} requests a second, open loop`, {
          connections: connectionsOpen,
          seconds,
          pace: rate,
        }),
      seconds,
    );
    const recoverySeconds = await measureRecovery(load, best.perSecond / 2);
    await untilDrained(system);
    return {
      best,
      refusalMicros,
      costRatio,
      shareWanted: (1 - overloadFactor * costRatio) / (1 - costRatio),
      closed,
      open: { ...open, rate, share: open.accepted / seconds / best.perSecond },
      recoverySeconds,
      ...(await readStored(system, allIds.flat())),
    };
  });
}

/** `what` is told while it runs. */
type Load = (what: string, options: LoadOptions) => Promise<Interval>;

/** The most that is accepted in a closed loop, with what all parts spend on it. */
async function measureBest(system: LimitedSystem, load: Load, seconds: number) {
  let best = { connections: 0, perSecond: 0, cpuMicros: 0 };
  for (const connections of bestConnections) {
    await untilDrained(system);
    const before = totalCpuMs(system);
    const { accepted } = await load(`capacity, ${connections} connections`, {
      connections,
      seconds,
      pace: 'patient',
    });
    await untilDrained(system);
    const cpuMicros = ((totalCpuMs(system) - before) * 1_000) / accepted;
    if (accepted / seconds > best.perSecond) best = { connections, perSecond: accepted / seconds, cpuMicros };
  }
  return best;
}

/** The broker stands still and the bound is reached: what follows, as much as in the overload, is refused. */
async function measureRefusal(system: LimitedSystem, load: Load, rate: number): Promise<number> {
  system.parts.emulator.pause();
  // Those that are not refused wait until it goes on.
  let isFull = false;
  const ask = async () => {
    const response = await fetch(`${system.api.url}/api/data`);
    isFull ||= response.status === 503;
    await response.text();
  };
  const waiting = Promise.all(Array.from({ length: inFlightMax + 1 }, ask));
  // Before it is awaited a failure is the end of the api, which `ended` tells.
  waiting.catch(() => {});
  while (!isFull) await pause(50);
  // Once the connections are open, which costs more than many refusals.
  const seen = { refused: 0, cpuMs: Number.NaN, micros: Number.NaN };
  await load('what a refusal costs', {
    connections: connectionsOpen,
    seconds: refusedSeconds,
    pace: rate,
    onSecond({ refused }) {
      const cpuMs = system.cpuMs().api;
      if (Number.isNaN(seen.cpuMs)) seen.cpuMs = cpuMs;
      else {
        seen.refused += refused;
        seen.micros = ((cpuMs - seen.cpuMs) * 1_000) / seen.refused;
      }
    },
  });
  system.parts.emulator.resume();
  await waiting;
  return seen.micros;
}

async function overload(
  system: LimitedSystem,
  load: () => Promise<Interval>,
  seconds: number,
): Promise<Overloaded> {
  const watch = watchMemory(system);
  const interval = await load();
  watch.stop();
  return { ...interval, seconds, peakBytes: watch.peaks() };
}

async function measureRecovery(load: Load, rate: number): Promise<number> {
  const patienceSeconds = 15;
  let seconds = 0;
  let recoveredAfter = Number.POSITIVE_INFINITY;
  await load('half the capacity', {
    connections: connectionsOpen,
    seconds: patienceSeconds,
    pace: rate,
    onSecond({ accepted, refused, failed, acceptedMs }) {
      seconds++;
      const isRecovered = accepted > 0 && refused === 0 && failed === 0 && acceptedMs.p99 < recoveredMs;
      if (isRecovered) recoveredAfter = Math.min(recoveredAfter, seconds);
    },
  });
  return recoveredAfter;
}

function totalCpuMs(system: LimitedSystem): number {
  const cpuMs = system.cpuMs();
  return partNames.reduce((sum, name) => sum + cpuMs[name], 0);
}
