/**
 * Runs checks against one emulator, many at once: most of their time is waiting for deadlines. Each has a project of
 * its own, so that they do not meet.
 */
import { randomBytes } from 'node:crypto';
import type { Check, Feature } from './check.ts';
import { Place } from './place.ts';
import { type Kind, type Server, type StartOptions, startServer } from './servers.ts';
import { sources } from './sources.ts';

/**
 * passed: as documented. refused: openly, as this emulator says it does. departs: not as documented, but as is written
 * down of it. failed: neither. left out: of an emulator of which only the address is known, what is not in the service's
 * documentation, or would have to start it.
 */
export type Outcome = 'passed' | 'refused' | 'departs' | 'failed' | 'left out';

export interface Result {
  feature: Feature;
  check: Check;
  outcome: Outcome;
  error?: Error;
}

export interface Target {
  /** Of which emulator it is expected what is written down; undefined: what is documented. */
  kind: Kind | undefined;
  host: string;
}

/** A check that stands still is a failed one. */
const checkMsMax = 90_000;

/** More at once made each so slow on two cores that connections were closed for their silence. */
const checksAtOnce = 40;
/** A JVM takes all that two cores have while it starts. */
const startsAtOnce = 1;

/** Runs at most `count` at once. */
function createTurns(count: number) {
  let free = count;
  const waiting: (() => void)[] = [];
  return async <Value>(run: () => Promise<Value>): Promise<Value> => {
    if (free > 0) free--;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await run();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else free++;
    }
  };
}

/** One promise a check, in the order of the features. */
export function runChecks(target: Target, features: readonly Feature[]): Promise<Result>[] {
  const run = randomBytes(4).toString('hex');
  const turns = { check: createTurns(checksAtOnce), start: createTurns(startsAtOnce) };
  return features.flatMap((feature) =>
    feature.checks.map(async (check, position): Promise<Result> => {
      const project = `conformance-${run}-${features.indexOf(feature)}-${position}`;
      const turn = check.starts ? turns.start : turns.check;
      const done = (outcome: Outcome, error?: Error): Result => {
        return { feature, check, outcome, ...(error && { error }) };
      };
      if (target.kind === undefined && isOurs(check)) return done('left out');
      try {
        await turn(() => runCheck(target, check, project));
        return done(expected(target.kind, check));
      } catch (error) {
        return done('failed', error as Error);
      }
    }),
  );
}

/** What no other emulator has promised, or what needs one to be started. */
function isOurs({ starts, refuses, source }: Check): boolean {
  return starts === true || refuses !== undefined || source === sources.readme;
}

/** What a check that ran through says. */
function expected(kind: Kind | undefined, { google, refuses }: Check): Outcome {
  if (kind === 'google' && google) return google.follows ? 'passed' : 'departs';
  return refuses && kind === 'ours' ? 'refused' : 'passed';
}

async function runCheck({ kind, host }: Target, check: Check, project: string): Promise<void> {
  const servers: Server[] = [];
  const start = async (options?: StartOptions) => {
    const server = await startServer(kind ?? 'ours', options);
    servers.push(server);
    return server;
  };
  const place = new Place(host, project, start);
  const run = kind === 'google' && check.google ? check.google.run : check.run;
  const late = Promise.withResolvers<never>();
  const text = `not done after ${checkMsMax / 1_000} s`;
  const timer = setTimeout(() => late.reject(new Error(text)), checkMsMax);
  try {
    await Promise.race([run(place), late.promise]);
  } finally {
    clearTimeout(timer);
    place.close();
    await Promise.all(servers.map((server) => server.kill()));
  }
}
