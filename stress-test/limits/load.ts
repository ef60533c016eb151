/** Runs the generator on a CPU of its own and reads what it counted. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { endWithThisProcess } from '../../test/process.ts';
import { NotJudged } from '../run.ts';
import type { Interval } from './generator.ts';

const generator = join(import.meta.dirname, 'generator.ts');

export interface LoadOptions {
  connections: number;
  seconds: number;
  /** Of a closed loop, or requests a second of an open one. */
  pace: 'patient' | 'impatient' | number;
  /** Until all connections are open; for tests, which have no time for the real bound. */
  openSeconds?: number;
  onSecond?: (interval: Interval) => void;
}

/**
 * The api closes a connection that is idle for 65 s (keepAliveTimeoutMs of api/src/server.ts): those that are not all
 * open by then never will be.
 */
const openSecondsMax = 60;

/**
 * @param wrapper what runs it, such as that of a cgroup.
 * @throws NotJudged when not all connections could be opened.
 */
export async function runLoad(
  url: string,
  { connections, seconds, pace, openSeconds = openSecondsMax, onSecond }: LoadOptions,
  wrapper: readonly string[],
): Promise<Interval> {
  const numbers = [connections, seconds, pace, openSeconds].map(String);
  const [command = '', ...args] = [...wrapper, process.execPath, generator, url, ...numbers];
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  endWithThisProcess(child);
  let whole: Interval | undefined;
  let failure: string | undefined;
  const read = async () => {
    for await (const line of createInterface({ input: child.stdout })) {
      const parsed = parse(line);
      if (parsed.failure !== undefined) failure = parsed.failure;
      else if (parsed.whole) whole = parsed.whole;
      else onSecond?.(parsed);
    }
  };
  // Both at once: an error of `onSecond` does not wait for the end of the child.
  const [[code]] = await Promise.all([once(child, 'exit'), read()]);
  if (failure !== undefined) throw new NotJudged(failure);
  if (!whole) throw new Error(`the generator ended with ${code} and without its figures`);
  return whole;
}

/** JSON has no NaN, which a latency is while nothing was answered, and writes null. */
function parse(line: string): Interval & { whole?: Interval; failure?: string } {
  return JSON.parse(line, (_key, value) => value ?? Number.NaN);
}
