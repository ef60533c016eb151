/** Runs the generator on a CPU of its own and reads what it counted. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Interval } from './generator.ts';

const generator = join(import.meta.dirname, 'generator.ts');

export interface LoadOptions {
  connections: number;
  seconds: number;
  /** Of a closed loop, or requests a second of an open one. */
  pace: 'patient' | 'impatient' | number;
  onSecond?: (interval: Interval) => void;
}

/** @param wrapper what runs it, such as that of a cgroup. */
export async function runLoad(
  url: string,
  { connections, seconds, pace, onSecond }: LoadOptions,
  wrapper: readonly string[],
): Promise<Interval> {
  const numbers = [connections, seconds, pace].map(String);
  const [command = '', ...args] = [...wrapper, process.execPath, generator, url, ...numbers];
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const end = () => child.kill('SIGKILL');
  process.once('exit', end);
  let whole: Interval | undefined;
  const reading = (async () => {
    for await (const line of createInterface({ input: child.stdout })) {
      const parsed = parse(line);
      if (parsed.whole) whole = parsed.whole;
      else onSecond?.(parsed);
    }
  })();
  const [code] = await once(child, 'exit');
  process.off('exit', end);
  await reading;
  if (!whole) throw new Error(`the generator ended with ${code} and without its figures`);
  return whole;
}

/** JSON has no NaN, which a latency is while nothing was answered, and writes null. */
function parse(line: string): Interval & { whole?: Interval } {
  return JSON.parse(line, (_key, value) => value ?? Number.NaN);
}
