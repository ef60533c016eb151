/** `npm run cluster-proof`: options → images → checks → table. */
import { readOptionsOrExit } from '../../../command-line/flags.ts';
import { endProgress, showProgress } from '../../../command-line/progress.ts';
import { checks, type Proof, type Seen } from './checks.ts';
import { Cluster, secondsSince } from './cluster.ts';
import { loadImages } from './images.ts';
import { loadCleanUp } from './load.ts';
import { type CheckName, help, readOptions } from './options.ts';
import { formatResult, formatTable, type Result } from './table.ts';

const options = readOptionsOrExit('npm run cluster-proof --', help, () =>
  readOptions(process.argv.slice(2), process.env),
);
// Also at Ctrl-C, at which test/process.ts ends this process.
process.once('exit', endProgress);
const cluster = new Cluster(options.context);
for (const args of loadCleanUp) cluster.undoAtExit(args);
const results: Result[] = [];

function describe(doing: string): Proof {
  const from = performance.now();
  return { ...options, cluster, say: (text) => showProgress(`${doing}, ${secondsSince(from)} s: ${text}`) };
}

/** On a system that is whole, whatever the check before has left. */
async function runCheck(proof: Proof, name: CheckName): Promise<Seen> {
  if (name !== 'setup' && name !== 'cleanup') await cluster.waitUntilAllReady();
  return checks[name](proof, name);
}

try {
  await loadImages(describe('images'));
} catch (error) {
  endProgress();
  console.error((error as Error).message);
  process.exit(1);
}
for (const name of options.checks) {
  const from = performance.now();
  const proof = describe(name);
  proof.say('begins');
  const seen = await runCheck(proof, name).catch((error: Error) => {
    return { said: '', problems: [error.message] };
  });
  const result = { name, seconds: secondsSince(from), ...seen };
  results.push(result);
  endProgress();
  console.error(formatResult(result));
  // Without a system there is nothing to check, but something to look at.
  if (name === 'setup' && seen.problems.length > 0) break;
}
process.stdout.write(formatTable(results));
process.exit(results.every(({ problems }) => problems.length === 0) ? 0 : 1);
