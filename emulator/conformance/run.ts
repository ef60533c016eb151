/** The conformance suite from the command line: `npm run conformance -- --help`. */
import { parseArgs } from 'node:util';
import type { Feature } from './check.ts';
import { flagsSection, limitsSection, writeSection } from './readme.ts';
import { type Result, runChecks } from './runner.ts';
import { type Kind, startServer } from './servers.ts';
import { suite } from './suite.ts';
import { byFeature, conformanceSection, summaryOf } from './table.ts';

const usage = `Runs the conformance suite over the wire.

  node emulator/conformance/run.ts [flags]

  --against=ours      this emulator; it is started
  --against=google    Google's emulator; it is started (java, and the pubsub-emulator component of gcloud)
  --against=HOST:PORT any other that runs there: what the service's documentation promises
                      may be given several times; default: ours and Google's
  --only=TEXT         only the features with TEXT in their name
  --write             writes the tables into emulator/README.md; only for a whole run against both
  --help

Ends with 1 when a result is not what it should be: of this emulator, and of one at an address, when a check fails;
of Google's, when it does not do what is written down of it.
`;

function readArguments() {
  const { values } = parseArgs({
    options: {
      against: { type: 'string', multiple: true, default: ['ours', 'google'] },
      only: { type: 'string', default: '' },
      write: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  return values;
}

async function runAgainst(against: string, features: readonly Feature[]): Promise<Result[]> {
  if (against !== 'ours' && against !== 'google') {
    if (!/^.+:\d+$/.test(against)) throw new Error(`--against wants ours, google or HOST:PORT: ${against}`);
    return Promise.all(runChecks({ kind: undefined, host: against }, features));
  }
  const kind: Kind = against;
  const server = await startServer(kind);
  try {
    return await Promise.all(runChecks({ kind, host: server.host }, features));
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

const { against, only, write, help } = readArguments();
if (help) {
  console.log(usage);
  process.exit(0);
}
const features = suite.filter(({ title }) => title.toLowerCase().includes(only.toLowerCase()));
if (features.length === 0) {
  console.error(`No feature has ${only} in its name: ${suite.map(({ title }) => title).join('; ')}`);
  process.exit(1);
}
const started = performance.now();
const runs = await Promise.all(against.map((one) => runAgainst(one, features)));
for (const [position, results] of runs.entries()) print(against[position] ?? '', results);
console.log(`\n${Math.round((performance.now() - started) / 1_000)} s`);
const hasFailed = runs.flat().some(({ outcome }) => outcome === 'failed');
const [ours = [], googles = []] = runs;
if (against.join() === 'ours,google') {
  const section = conformanceSection(ours, googles);
  console.log(`\n${section}`);
  if (write && only === '' && !hasFailed) {
    writeSection('flags', flagsSection());
    writeSection('limits', limitsSection());
    writeSection('conformance', section);
  }
}
process.exit(hasFailed ? 1 : 0);
