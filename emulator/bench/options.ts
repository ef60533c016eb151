/** The command line of the bench, and how much each row does. */
import { BadUsage, parseFlags, readFolder } from '../../command-line/flags.ts';
import type { Given } from './contenders.ts';
import { type RowName, rowNames } from './titles.ts';

export const help = `The emulator measured beside Google's (when java and gcloud's component are there) and beside others.

  npm run bench:emulator -- [flags]

  --quick                        a minute, for a look or a smoke test; its figures are too short to be quoted
  --only ROWS                    ${rowNames.join(', ')}
  --also NAME=HOST:PORT[,pid=N]  one that runs already, several times if wanted; its CPU and memory by its pid
  --out FOLDER                   where bench-emulator.json is written, every value of every run; default: nowhere
  --help                         this text

Everything is on this machine, in TMPDIR: 6 GB at the most, removed afterwards. The row limits wants root and
cgroup v1. About 10 minutes; Ctrl-C ends all that was started.
Exit code: 0 measured, whether or not the targets are reached, 1 a run failed, 2 bad usage,
130 stopped by Ctrl-C or SIGTERM.

Examples:
  npm run bench:emulator -- --quick --only official,start
  npm run bench:emulator -- --only memory --out /tmp/bench
`;

/** How much is measured. */
export interface Scale {
  runs: number;
  /** With the official client. */
  officialCount: number;
  /** Of a cell of batches, at about this many bytes and calls. */
  cellBytes: number;
  cellCalls: number;
  backlogCounts: number[];
  starts: number;
  startBacklogCount: number;
  idleSeconds: number;
  restartCount: number;
  limitsSeconds: number;
}

const full: Scale = {
  runs: 5,
  officialCount: 50_000,
  cellBytes: 100_000_000,
  cellCalls: 3_000,
  backlogCounts: [50_000, 200_000, 1_000_000, 2_000_000],
  starts: 7,
  startBacklogCount: 1_000_000,
  idleSeconds: 20,
  restartCount: 20_000,
  limitsSeconds: 10,
};

const quick: Scale = {
  runs: 1,
  officialCount: 4_000,
  cellBytes: 3_000_000,
  cellCalls: 100,
  backlogCounts: [2_000, 10_000],
  starts: 1,
  startBacklogCount: 20_000,
  idleSeconds: 1,
  restartCount: 1_000,
  limitsSeconds: 1,
};

export interface BenchOptions {
  rows: readonly RowName[];
  scale: Scale;
  isQuick: boolean;
  also: Given[];
  /** Undefined: nothing is written. */
  folder: string | undefined;
}

const flags = {
  quick: { type: 'boolean' },
  only: { type: 'string', multiple: true },
  also: { type: 'string', multiple: true },
  out: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const;

/** @throws BadUsage */
export function readOptions(args: string[]): BenchOptions | 'help' {
  const { values } = parseFlags(args, flags);
  if (values.help) return 'help';
  const wanted = (values.only ?? []).flatMap((text) => text.split(','));
  for (const row of wanted) {
    if (!rowNames.includes(row as RowName)) throw new BadUsage(`--only: wants ${rowNames.join(', ')}`);
  }
  return {
    rows: wanted.length === 0 ? rowNames : rowNames.filter((row) => wanted.includes(row)),
    scale: values.quick ? quick : full,
    isQuick: values.quick ?? false,
    also: (values.also ?? []).map(readGiven),
    folder: values.out === undefined ? undefined : readFolder(values.out),
  };
}

function readGiven(text: string): Given {
  const [, name = '', host = '', pid] = /^([\w.-]+)=([\w.-]+:\d{1,5})(?:,pid=(\d+))?$/.exec(text) ?? [];
  if (!name || name === 'ours') throw new BadUsage('--also: wants NAME=HOST:PORT or NAME=HOST:PORT,pid=N');
  return { name, host, pid: pid === undefined ? undefined : Number(pid) };
}
