/** The system within its pods' limits: overload, a long backlog, a soak. `npm run limits -- --help` says how. */
import { exitCodes, runCommand } from '../../command-line/command.ts';
import { BadUsage, parseFlags, readTime, readWholeNumber } from '../../command-line/flags.ts';
import { endProgress } from '../../command-line/progress.ts';
import { whyNoCgroup } from '../../emulator/bench/cgroup.ts';
import { needs } from '../../test/programs.ts';
import { NotJudged } from '../run.ts';
import { measureBacklog } from './backlog.ts';
import { measureOverload } from './overload.ts';
import {
  formatBacklog,
  formatEnd,
  formatOverload,
  formatSlowBodies,
  formatSoak,
  type Report,
} from './report.ts';
import { measureSlowBodies } from './slow-bodies.ts';
import { measureSoak } from './soak.ts';
import { PartEnded } from './system.ts';

const help = `The system in cgroups with the memory of its pods, all parts on one CPU and their load on another.

  npm run limits -- overload [--duration TIME]   10,000 connections in a closed loop, and 3 times the capacity in an
                                                 open one; default 20s each, 2 to 3 minutes in all
  npm run limits -- backlog [--documents N]      no writer until N documents are confirmed; default 2000000, 10 minutes
  npm run limits -- slow-bodies [--clients N]    N clients that send nearly all of a large body and stop; default 2500,
                                                 a minute
  npm run limits -- soak [--duration TIME]       70 % of capacity; default 30m

  --duration TIME   such as 12s or 30m; of overload 10m at most
  --documents N     1000 to 10000000
  --clients N       10 to 10000
  --json            prints the figures as JSON
  --help            this text

Needs root, cgroup version 1 and two CPUs. Everything runs on this machine, on free ports of loopback.
Ctrl-C ends all that was started.
Exit code: 0 measured and nothing lost, 1 something was lost or doubled, or a part ended, 2 not measured,
130 stopped by Ctrl-C or SIGTERM.

Examples:
  npm run limits -- overload --duration 12s
  npm run limits -- backlog --documents 100000 --json
`;

const flags = {
  duration: { type: 'string' },
  documents: { type: 'string' },
  clients: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

/** The one that each measurement takes. */
const ownFlags = new Map<string | undefined, 'duration' | 'documents' | 'clients'>([
  ['overload', 'duration'],
  ['backlog', 'documents'],
  ['slow-bodies', 'clients'],
  ['soak', 'duration'],
]);

interface LimitsOptions {
  measure: () => Promise<Report<unknown>>;
  isJson: boolean;
}

/** @throws BadUsage */
function readOptions(args: string[]): LimitsOptions | 'help' {
  const { values, positionals } = parseFlags(args, flags, { allowPositionals: true });
  if (values.help) return 'help';
  const [mode, ...rest] = positionals;
  if (rest.length > 0)
    throw new BadUsage(`one of overload, backlog, slow-bodies, soak; not ${positionals.join(' ')}`);
  const [durationDefault, durationMax] = mode === 'overload' ? ['20s', '10m'] : ['30m', '24h'];
  const seconds = readTime('--duration', values.duration ?? durationDefault, durationMax) / 1_000;
  const documents = readWholeNumber('--documents', values.documents ?? '2000000', 1_000, 10_000_000);
  const clients = readWholeNumber('--clients', values.clients ?? '2500', 10, 10_000);
  // A map, because an object has a toString too.
  const modes = new Map<string | undefined, LimitsOptions['measure']>([
    ['overload', async () => formatOverload(await measureOverload({ seconds }))],
    ['backlog', async () => formatBacklog(await measureBacklog({ documents }))],
    ['slow-bodies', async () => formatSlowBodies(await measureSlowBodies({ clients }))],
    ['soak', async () => formatSoak(await measureSoak({ seconds }))],
  ]);
  const measure = modes.get(mode);
  if (!measure) throw new BadUsage('wants overload, backlog, slow-bodies or soak');
  const own = ownFlags.get(mode);
  for (const name of ownFlags.values()) {
    if (name !== own && values[name] !== undefined) throw new BadUsage(`--${name}: not with ${mode}`);
  }
  return { measure, isJson: values.json ?? false };
}

async function measureLimits({ measure, isJson }: LimitsOptions): Promise<number> {
  const why = whyNoCgroup() ?? needs('mongodb').skip;
  if (why) throw new NotJudged(why);
  const print = ({ text, figures }: Report<unknown>) => {
    endProgress();
    process.stdout.write(isJson ? `${JSON.stringify(figures)}\n` : text);
  };
  try {
    const report = await measure();
    print(report);
    return report.isWhole ? exitCodes.passed : exitCodes.failed;
  } catch (error) {
    if (!(error instanceof PartEnded)) throw error;
    print(formatEnd(error));
    // What still measures would go on; test/process.ts ends what it has started.
    process.exit(exitCodes.failed);
  }
}

await runCommand({
  command: 'npm run limits --',
  help,
  read: () => readOptions(process.argv.slice(2)),
  run: measureLimits,
});
