/** The command line of the chaos run. */
import { BadUsage, parseFlags, readWholeNumber } from '../../command-line/flags.ts';
import type { Fault } from './faults/fault.ts';
import { faults, roundsOnce } from './plan.ts';

const roundsMax = 1_000;

export const help = `Breaks the whole system and proves that nothing is lost or doubled, however often clients repeat their requests.

  npm run chaos -- [--rounds N] [--seed TEXT] [--only FAULTS] [--json]

  --rounds N      1 to ${roundsMax}; default: each fault once and a pair after each. A round takes 15 s at most,
                  one with a silent connection up to 15 s more, until the system notices
  --seed TEXT     repeats faults, pairs and moments of another run; default: a new one, which is printed
  --only FAULTS   such as kill-writer,stop-mongodb or, both at once, kill-writer+stop-mongodb
  --json          prints the findings as JSON
  --help          this text

Faults:
${formatNames()}
Each request of the load has an Idempotency-Key and is repeated with it until it is confirmed. After each
round there have to be exactly 5 documents for each key.
Everything runs on this machine, on free ports of loopback, in folders of its own that are removed at the end.
Ctrl-C ends all that was started.
Exit code: 0 passed, 1 failed, 2 nothing was judged (bad usage, or a part that is not there),
130 stopped by Ctrl-C or SIGTERM.

Examples:
  npm run chaos
  npm run chaos -- --only writer-dies-before-ack --rounds 5
  npm run chaos -- --seed 7 --rounds 40 --json > chaos.json
`;

export interface ChaosOptions {
  rounds: number;
  seed: string;
  /** Groups that strike together. */
  among: Fault[][];
  isJson: boolean;
}

const flags = {
  rounds: { type: 'string' },
  seed: { type: 'string' },
  only: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

/** @throws BadUsage. */
export function readOptions(args: string[]): ChaosOptions | 'help' {
  const { values } = parseFlags(args, flags);
  if (values.help) return 'help';
  const among = values.only === undefined ? availableFaults() : readFaults(values.only);
  return {
    rounds: readWholeNumber('--rounds', values.rounds ?? String(roundsOnce(among)), 1, roundsMax),
    seed: readSeed(values.seed ?? String(Math.floor(Math.random() * 1e6))),
    among,
    isJson: values.json ?? false,
  };
}

function readSeed(text: string): string {
  if (text === '') throw new BadUsage('--seed: wants a text');
  return text;
}

/** Faults that cannot be had here are named, and left out. */
function availableFaults(): Fault[][] {
  return faults
    .filter(({ name, missing }) => {
      const reason = missing?.();
      if (reason !== undefined) console.error(`without ${name}: ${reason}`);
      return reason === undefined;
    })
    .map((fault) => [fault]);
}

function readFaults(text: string): Fault[][] {
  return text.split(',').map((group) => {
    const names = group.split('+');
    const found = names.map(readFault);
    const touched = found.flatMap(({ touches }) => touches);
    if (new Set(touched).size < touched.length) throw new BadUsage(`--only: ${group} break the same`);
    return found;
  });
}

function readFault(name: string): Fault {
  const fault = faults.find((one) => one.name === name);
  if (!fault)
    throw new BadUsage(`--only: there is no "${name}", wants of ${faults.map((one) => one.name).join(' ')}`);
  const reason = fault.missing?.();
  if (reason !== undefined) throw new BadUsage(`--only: ${name} ${reason}`);
  return fault;
}

function formatNames(): string {
  const names = faults.map(({ name }) => `  ${name}`);
  const half = Math.ceil(names.length / 2);
  return names
    .slice(0, half)
    .map((name, index) => `${`${name.padEnd(28)}${names[half + index] ?? ''}`.trimEnd()}\n`)
    .join('');
}
