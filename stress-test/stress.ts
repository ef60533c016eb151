/** The stress test from end to end: k6, then the audit, then one verdict. `npm run stress -- --help` says how. */
import { spawn } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { findK6 } from '../test/programs.ts';
import { exitCodes, runCommand } from './command.ts';
import { k6Arguments, k6ExitCodes } from './k6-command.ts';
import type { K6Files } from './k6-run.ts';
import { readApiClock } from './load.ts';
import { openMongoDb } from './mongodb.ts';
import { createOutFolder } from './out-folder.ts';
import { NotJudged } from './run.ts';
import { help, readStressOptions, type StressOptions } from './stress-options.ts';
import { formatVerdict, readThresholds } from './thresholds.ts';

const howToGetK6 = `k6 is neither on PATH nor in ~/go/bin. Either
  go install go.k6.io/k6@v1.8.1
or a package of your system: https://grafana.com/docs/k6/latest/set-up/install-k6/`;

async function stress(options: StressOptions): Promise<number> {
  const k6 = findK6();
  if (!k6) throw new NotJudged(howToGetK6);
  // Both before the load, not 13 minutes later.
  await readApiClock(options.baseUrl);
  const { mongo } = await openMongoDb();
  await mongo.close();

  await createOutFolder(options.folder);
  const [summary, ids] = [join(options.folder, 'summary.json'), join(options.folder, 'ids.txt')];
  await Promise.all([summary, ids].map((file) => rm(file, { force: true })));

  // Ctrl-C reaches k6 too, which ends its load and sums it up.
  const ignore = () => {};
  process.once('SIGINT', ignore);
  const code = await runK6(k6, options, { summary, ids });
  process.off('SIGINT', ignore);
  const hasRun = Object.values<number>(k6ExitCodes).includes(code);
  if (!hasRun) throw new NotJudged(`k6 ended with ${code}`);

  const thresholds = await readThresholds(summary);
  const auditCode = await run(process.execPath, [
    join(import.meta.dirname, 'audit.ts'),
    ...['--summary', summary, '--ids', ids, ...options.auditArgs],
  ]);
  if (auditCode === exitCodes.notJudged) throw new NotJudged('The audit judged nothing.');
  const isAuditPassed = auditCode === exitCodes.passed;
  process.stdout.write(formatVerdict(thresholds, isAuditPassed));
  const isPassed = isAuditPassed && thresholds.every((threshold) => threshold.isPassed);
  return isPassed ? exitCodes.passed : exitCodes.failed;
}

/** Its progress and its own summary are on the terminal; without one there is only the summary. */
function runK6(k6: string, options: StressOptions, files: K6Files): Promise<number> {
  const quiet = process.stderr.isTTY ? [] : ['--quiet'];
  return run(k6, k6Arguments(files, [...quiet, ...options.k6Args]), {
    ...options.k6Environment,
    RECORD: 'true',
  });
}

/** @returns its exit code, or what a shell says of a signal. */
async function run(command: string, args: string[], env: Record<string, string> = {}): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const child = spawn(command, args, { stdio: 'inherit', env: { ...process.env, ...env } });
  child.once('error', reject);
  child.once('exit', (code) => resolve(code ?? 130));
  return promise;
}

await runCommand({
  name: 'stress',
  help,
  read: () => readStressOptions(process.argv.slice(2), process.env),
  run: stress,
});
