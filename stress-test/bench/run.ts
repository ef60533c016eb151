/** What a row gets, and what rows share. */
import { needs } from '../../test/programs.ts';
import { alternate } from './alternate.ts';
import type { FigureKind, Figures } from './figures.ts';
import { type Measurement, measure, untilStored } from './measurement.ts';
import type { Scale } from './scale.ts';
import { type Subject, type System, startSystem } from './subjects.ts';
import { runWrk, type WrkOptions } from './wrk.ts';

export interface BenchRun {
  scale: Scale;
  /** Another checkout of the project, for the rows that measure it too. */
  checkout: string | undefined;
  figures: Figures;
  /** Tells what is going on. */
  say(text: string): void;
}

/** The names that contenders have in every row. */
export const ours = 'ours';
export const staticExpress = 'static Express';
const beside = 'beside';

/** How the system of this checkout is started, and that of the other one where there is one. */
export function startSystems({ checkout }: BenchRun): Record<string, () => Promise<System>> {
  return {
    [ours]: startSystem,
    ...(checkout !== undefined && { [beside]: () => startSystem({ checkout }) }),
  };
}

/** Notes instead of figures which of `parts` are not on this machine. @returns whether one is missing. */
export function noteMissing({ figures }: BenchRun, row: string, ...parts: Parameters<typeof needs>): boolean {
  const { skip } = needs(...parts);
  if (skip) figures.note(`${row}: ${skip}`);
  return skip !== false;
}

/** Starts every subject, and ends them after `use`. */
export async function withSubjects<Name extends string, Kind extends Subject>(
  starts: Readonly<Record<Name, () => Promise<Kind>>>,
  use: (subjects: Record<Name, Kind>) => Promise<void>,
): Promise<void> {
  const subjects: [string, Kind][] = [];
  try {
    for (const [name, start] of Object.entries<() => Promise<Kind>>(starts))
      subjects.push([name, await start()]);
    await use(Object.fromEntries(subjects) as Record<Name, Kind>);
  } finally {
    for (const [, subject] of subjects) await subject.stop();
  }
}

/** wrk on all of a subject's api processes at once, each with its share of the connections. */
export async function measureWrk(
  subject: Subject,
  { path = '/api/data', ...options }: WrkOptions & { path?: string },
): Promise<Measurement> {
  const connections = Math.ceil(options.connections / subject.urls.length);
  return measure(subject, async () => {
    const results = await Promise.all(
      subject.urls.map((url) => runWrk(`${url}${path}`, { ...options, connections })),
    );
    const sum = (key: 'requests' | 'failed' | 'requestsPerSecond') =>
      results.reduce((total, result) => total + result[key], 0);
    const worst = (key: 'p50Ms' | 'p95Ms' | 'p99Ms') => Math.max(...results.map((result) => result[key]));
    return {
      requests: sum('requests'),
      failed: sum('failed'),
      requestsPerSecond: sum('requestsPerSecond'),
      p50Ms: worst('p50Ms'),
      p95Ms: worst('p95Ms'),
      p99Ms: worst('p99Ms'),
    };
  });
}

/** A load of wrk that nobody looks at, so that the code is compiled. */
export async function warm(subject: Subject, { warmSeconds }: Scale): Promise<void> {
  await measureWrk(subject, { connections: 256, seconds: warmSeconds });
}

/**
 * Every subject under the same load of wrk in each round, in turn, once their code is compiled.
 * @param told is called with each measurement.
 */
export async function alternateWrk(
  { scale, say }: BenchRun,
  subjects: Record<string, Subject>,
  options: WrkOptions & { path?: string },
  told: (name: string, measurement: Measurement) => void,
): Promise<void> {
  const all = Object.entries(subjects);
  for (const [name, subject] of all) {
    say(`warming ${name}`);
    await measureWrk(subject, { ...options, seconds: scale.warmSeconds });
    await untilStored(subject);
  }
  await alternate(scale.rounds, all, async ([name, subject], round) => {
    say(`round ${round + 1} of ${scale.rounds}: ${name}`);
    told(name, await measureWrk(subject, options));
  });
}

type Targets = Partial<Record<'rate' | 'stored' | 'backlog' | 'p50' | 'p95' | 'p99', number>>;

/** The figures that rows share; `prefix` tells several loads of a row apart. */
export function addMeasurement(
  figures: Figures,
  row: string,
  contender: string,
  measurement: Measurement,
  { prefix = '', targets = {} }: { prefix?: string; targets?: Targets } = {},
): void {
  const add = (
    name: string,
    unit: string,
    better: FigureKind['better'],
    value: number,
    target?: number | undefined,
  ) => {
    if (!Number.isFinite(value)) return;
    figures.add(
      { row, name: prefix + name, unit, better, ...(target !== undefined && { target }) },
      contender,
      value,
    );
  };
  add('requests', '/s', 'higher', measurement.requestsPerSecond, targets.rate);
  add('failed', '', 'lower', measurement.failed, 0);
  // A 0 keeps its place: figures.ts pairs the values of two contenders by their round.
  if (!Number.isNaN(measurement.storedPerSecond)) {
    add('documents stored', '/s', 'higher', measurement.storedPerSecond, targets.stored);
    add('backlog at the end', 's', 'lower', measurement.backlogSeconds, targets.backlog);
  }
  add('p50', 'ms', 'lower', measurement.p50Ms, targets.p50);
  add('p95', 'ms', 'lower', measurement.p95Ms, targets.p95);
  add('p99', 'ms', 'lower', measurement.p99Ms, targets.p99);
  for (const [part, micros] of Object.entries(measurement.cpuMicros)) {
    add(`CPU a request, ${part}`, 'µs', 'lower', micros);
  }
}
