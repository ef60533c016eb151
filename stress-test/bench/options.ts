/** The command line of the bench. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { BadUsage, parseFlags, readFolder, readWholeNumber } from '../../command-line/flags.ts';
import { defaultOutFolder } from '../out-folder.ts';
import { full, quick, type Scale } from './scale.ts';
import { partsOf } from './subjects.ts';
import { createTitles, type RowName, rowNames } from './titles.ts';

const roundsMax = 100;
const titles = createTitles(full);

/** The rows that measure another checkout too. */
export const besideRows: readonly RowName[] = ['steady', 'users'];

export const help = `Measures the system side by side with what it is compared with, and prints one table.

  npm run bench -- [--only ROWS] [--rounds N] [--beside FOLDER] [--quick] [--out FOLDER]

  --only ROWS     such as steady or, several, steady,drain; default: all of them
  --rounds N      1 to ${roundsMax}; default ${full.rounds}. In each, everything of a row is measured in turn
  --beside FOLDER another checkout of this project, with its npm ci done, that ${besideRows.join(' and ')} measure as well
  --quick         a minute or two, for a look or a smoke test; its figures are too short to be quoted
  --out FOLDER    where bench.json and bench.svg are written; made if it is not there; default stress-test/out
  --help          this text

Rows:
${rowNames.map((row) => `  ${row.padEnd(16)}${titles[row]}`).join('\n')}

Needs wrk, for two rows k6, and for one Google's emulator. Everything runs on this machine, on free ports of loopback,
in folders of its own that are removed at the end, up to 15 GB of TMPDIR. Ctrl-C ends all that was started.
Exit code: 0 measured, whether or not a figure reaches what it must; 1 a run failed; 2 bad usage, or a part is not
there; 130 stopped by Ctrl-C or SIGTERM.

Examples:
  npm run bench -- --only steady --rounds 5
  npm run bench -- --only steady,users --beside ../before
  npm run bench -- --quick --out /tmp/bench
`;

export interface BenchOptions {
  rows: RowName[];
  scale: Scale;
  isQuick: boolean;
  /** Another checkout of the project. */
  beside: string | undefined;
  folder: string;
}

const flags = {
  only: { type: 'string' },
  rounds: { type: 'string' },
  beside: { type: 'string' },
  quick: { type: 'boolean' },
  out: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const;

/** @throws BadUsage. */
export function readOptions(args: string[]): BenchOptions | 'help' {
  const { values } = parseFlags(args, flags);
  if (values.help) return 'help';
  const scale = values.quick ? quick : full;
  return {
    rows: values.only === undefined ? rowNames : readRows(values.only),
    scale: {
      ...scale,
      rounds: readWholeNumber('--rounds', values.rounds ?? String(scale.rounds), 1, roundsMax),
    },
    isQuick: values.quick ?? false,
    beside: values.beside === undefined ? undefined : readCheckout(values.beside),
    folder: readFolder(values.out ?? defaultOutFolder),
  };
}

function readCheckout(text: string): string {
  const folder = resolve(text);
  if (existsSync(partsOf(folder)) && existsSync(join(folder, 'node_modules'))) return folder;
  throw new BadUsage('--beside: must be a checkout of this project in which npm ci has run');
}

function readRows(text: string): RowName[] {
  const wanted = text.split(',');
  for (const row of wanted) {
    if (!rowNames.includes(row as RowName)) {
      throw new BadUsage(`--only: there is no "${row}", wants of ${rowNames.join(' ')}`);
    }
  }
  return rowNames.filter((row) => wanted.includes(row));
}
