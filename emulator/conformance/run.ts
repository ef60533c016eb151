/** The conformance suite from the command line: `npm run conformance -- --help`. */
import { CannotRun } from '../../command-line/cannot-run.ts';
import { exitCodes, runCommand } from '../../command-line/command.ts';
import { BadUsage, parseFlags } from '../../command-line/flags.ts';
import { endProgress, showProgress } from '../../command-line/progress.ts';
import { needs } from '../../test/programs.ts';
import type { Feature } from './check.ts';
import { flagsSection, limitsSection, writeSection } from './readme.ts';
import { type Result, runChecks } from './runner.ts';
import { type Kind, startServer } from './servers.ts';
import { suite } from './suite.ts';
import { byFeature, conformanceSection, summaryOf } from './table.ts';

const help = `Runs the conformance suite over the wire.

  npm run conformance -- [flags]

  --against ours      this emulator; it is started
  --against google    Google's emulator; it is started (java, and the pubsub-emulator component of gcloud)
  --against HOST:PORT any other that runs there: what the service's documentation promises
                      may be given several times; default: ours and Google's
  --only TEXT         only the features with TEXT in their name
  --write             writes the tables into emulator/README.md; only for a whole run against both
  --help              this text

Exit code: 0 all is as it should be, 1 a result is not, 2 bad usage or a part is not there, 130 stopped by Ctrl-C or
SIGTERM. Of this emulator, and of one at an address, each check has to pass; Google's has to do what is written down
of it.

Examples:
  npm run conformance
  npm run conformance -- --against ours --only push
  npm run conformance -- --against 127.0.0.1:8085
`;

const flags = {
  against: { type: 'string', multiple: true },
  only: { type: 'string' },
  write: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

/** The table compares them. */
const both = ['ours', 'google'];

interface ConformanceOptions {
  against: string[];
  isWritten: boolean;
  features: readonly Feature[];
}

/** @throws BadUsage */
function readOptions(args: string[]): ConformanceOptions | 'help' {
  const { values } = parseFlags(args, flags);
  if (values.help) return 'help';
  const { against = both, only = '', write = false } = values;
  for (const one of against) {
    if (!/^(ours|google|.+:\d+)$/.test(one)) throw new BadUsage('--against: wants ours, google or HOST:PORT');
  }
  const features = suite.filter(({ title }) => title.toLowerCase().includes(only.toLowerCase()));
  if (features.length === 0) {
    throw new BadUsage(`--only: wants a part of ${suite.map(({ title }) => title).join('; ')}`);
  }
  if (write && (only !== '' || against.join() !== both.join())) {
    throw new BadUsage(`--write: wants a whole run against ${both.join(' and ')}`);
  }
  return { against, isWritten: write, features };
}

/** Calls `onDone` after each check. */
async function runAgainst(
  against: string,
  features: readonly Feature[],
  onDone: () => void,
): Promise<Result[]> {
  const run = (kind: Kind | undefined, host: string) => {
    const results = runChecks({ kind, host }, features);
    for (const result of results) result.then(onDone);
    return Promise.all(results);
  };
  if (against !== 'ours' && against !== 'google') return run(undefined, against);
  const server = await startServer(against);
  try {
    return await run(against, server.host);
  } finally {
    await server.kill();
  }
}

function print(against: string, results: readonly Result[]): void {
  console.log(`\n${against}`);
  for (const [feature, ofFeature] of byFeature(results)) {
    console.log(`  ${feature.title}: ${summaryOf(ofFeature)}`);
    for (const { check, outcome, error } of ofFeature) {
      if (outcome === 'departs') console.log(`    departs: ${check.name}: ${check.google?.does}`);
      if (outcome !== 'failed') continue;
      console.log(`    FAILED: ${check.name} (${check.source})`);
      console.log(String(error?.message).replace(/^/gm, '      '));
    }
  }
}

async function runSuite({ against, isWritten, features }: ConformanceOptions): Promise<number> {
  const { skip } = needs(...(against.includes('google') ? (['googleEmulator'] as const) : []));
  if (skip) throw new CannotRun(skip);
  const started = performance.now();
  const checkCount = against.length * features.flatMap(({ checks }) => checks).length;
  let doneCount = 0;
  const show = () => showProgress(`${doneCount} of ${checkCount} checks`, doneCount / checkCount);
  show();
  const onDone = () => {
    doneCount++;
    show();
  };
  const runs = await Promise.all(against.map((one) => runAgainst(one, features, onDone)));
  endProgress();
  for (const [position, results] of runs.entries()) print(against[position] ?? '', results);
  console.log(`\n${Math.round((performance.now() - started) / 1_000)} s`);
  const hasFailed = runs.flat().some(({ outcome }) => outcome === 'failed');
  const [ours = [], googles = []] = runs;
  if (against.join() === both.join()) {
    const section = conformanceSection(ours, googles);
    console.log(`\n${section}`);
    if (isWritten && !hasFailed) {
      writeSection('flags', flagsSection());
      writeSection('limits', limitsSection());
      writeSection('conformance', section);
    }
  }
  return hasFailed ? exitCodes.failed : exitCodes.passed;
}

await runCommand({
  command: 'npm run conformance --',
  help,
  read: () => readOptions(process.argv.slice(2)),
  run: runSuite,
  crashExitCode: exitCodes.failed,
});
// A check that stood still may go on.
process.exit();
