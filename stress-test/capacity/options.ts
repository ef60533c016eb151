/** The command line of the capacity calculator. */
import { BadUsage, parseFlags, readTime } from '../../command-line/flags.ts';
import type { Demand } from './capacity.ts';

export const help = `What a number of users needs: pods, Pub/Sub quota, MongoDB, its disk, and how long a burst takes to drain.

  npm run capacity -- --users N [--think SECONDS] [--answer SECONDS] [--duration TIME] [--bench FILE] [--json]

  --users N           1 to 100,000,000, each with one request at a time
  --think SECONDS     between an answer and the next request, 0 to 86400; default 5
  --answer SECONDS    until an answer, 0.001 to 60; default 0.1. Without think time it alone says how much is asked
  --duration TIME     how long all of them are there, such as 90s or 13m; default 10m
  --bench FILE        the bench.json of a run with the row steady; default: the figures of SOLUTION.md
  --json              prints it as JSON
  --help              this text

Exit code: 0 computed, 2 bad usage.

Examples:
  npm run capacity -- --users 10000 --think 5
  npm run capacity -- --users 10000 --think 0 --answer 1.3 --duration 5m
  npm run bench -- --only steady && npm run capacity -- --users 100000 --bench stress-test/out/bench.json
`;

export interface CapacityOptions {
  demand: Demand;
  benchFile: string | undefined;
  isJson: boolean;
}

const flags = {
  users: { type: 'string' },
  think: { type: 'string' },
  answer: { type: 'string' },
  duration: { type: 'string' },
  bench: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

/** @throws BadUsage. */
export function readOptions(args: string[]): CapacityOptions | 'help' {
  const { values } = parseFlags(args, flags);
  if (values.help) return 'help';
  if (values.users === undefined) throw new BadUsage('--users: wants how many there are');
  return {
    demand: {
      users: readNumber('--users', values.users, { min: 1, max: 100_000_000 }),
      thinkSeconds: readNumber('--think', values.think ?? '5', { min: 0, max: 86_400 }),
      answerSeconds: readNumber('--answer', values.answer ?? '0.1', { min: 0.001, max: 60 }),
      loadSeconds: readTime('--duration', values.duration ?? '10m') / 1_000,
    },
    benchFile: values.bench,
    isJson: values.json ?? false,
  };
}

function readNumber(flag: string, text: string, { min, max }: { min: number; max: number }): number {
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw new BadUsage(`${flag}: wants a number from ${min} to ${max}`);
}
