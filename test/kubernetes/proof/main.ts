/** `npm run cluster-proof`: options → images → checks → table. */
import { exitCodes, runCommand } from '../../../command-line/command.ts';
import { endProgress, showProgress } from '../../../command-line/progress.ts';
import { checks, type Proof, type Seen } from './checks.ts';
import { Cluster, secondsSince } from './cluster.ts';
import { loadImages } from './images.ts';
import { loadCleanUp } from './load.ts';
import { type CheckName, help, type ProofOptions, readOptions } from './options.ts';
import { formatResult, formatTable, type Result } from './table.ts';

async function prove(options: ProofOptions): Promise<number> {
  const cluster = new Cluster(options.context);
  for (const args of loadCleanUp) cluster.undoAtExit(args);
  const results: Result[] = [];

  function describe(doing: string): Proof {
    const from = performance.now();
    return { ...options, cluster, say: (text) => showProgress(`${doing}, ${secondsSince(from)} s: ${text}`) };
  }

  try {
    await loadImages(describe('images'));
  } catch (error) {
    endProgress();
    console.error((error as Error).message);
    return exitCodes.failed;
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
  return results.every(({ problems }) => problems.length === 0) ? exitCodes.passed : exitCodes.failed;
}

/** On a system that is whole, whatever the check before has left. */
async function runCheck(proof: Proof, name: CheckName): Promise<Seen> {
  if (name !== 'setup' && name !== 'cleanup') await proof.cluster.waitUntilAllReady();
  return checks[name](proof, name);
}

await runCommand({
  command: 'npm run cluster-proof --',
  help,
  read: () => readOptions(process.argv.slice(2), process.env),
  run: prove,
  crashExitCode: exitCodes.failed,
});
// A port-forward may go on.
process.exit();
