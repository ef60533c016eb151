/** The stress test from end to end: k6, then the audit, then one verdict. `npm run stress -- --help` says how. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { exitCodes, runCommand } from '../command-line/command.ts';
import { onStopSignals } from '../command-line/stop-signals.ts';
import { findK6 } from '../test/programs.ts';
import { readApiClock } from './api-client.ts';
import { k6Arguments, k6ExitCodes } from './k6-command.ts';
import type { K6Files } from './k6-run.ts';
import { openMongoDb } from './mongodb.ts';
import { createOutFolder } from './out-folder.ts';
import { NotJudged } from './run.ts';
import { createStoredRecords } from './stored-records.ts';
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
  const { mongo, database } = await openMongoDb();
  const documentsBefore = options.isKeyed ? await createStoredRecords(database).countKeyed() : 0;
  await mongo.close();

  await createOutFolder(options.folder);
  const [summary, ids] = [join(options.folder, 'summary.json'), join(options.folder, 'ids.txt')];
  await Promise.all([summary, ids].map((file) => rm(file, { force: true })));

  let running = startK6(k6, options, { summary, ids });
  let isLoading = true;
  process.once('exit', () => running.kill('SIGKILL'));
  // k6 ends its load at it, and sums it up.
  onStopSignals({
    onFirst: () => (isLoading ? running.kill('SIGINT') : process.exit(exitCodes.interrupted)),
  });
  const code = await exitCodeOf(running);
  isLoading = false;
  const hasRun = Object.values<number | null>(k6ExitCodes).includes(code);
  if (!hasRun) throw new NotJudged(`k6 ended with ${code ?? 'a signal'}`);

  const thresholds = await readThresholds(summary);
  const counted = options.isKeyed ? ['--documents-before', String(documentsBefore)] : [];
  running = startAudit(['--summary', summary, '--ids', ids, ...counted, ...options.auditArgs]);
  const auditCode = await exitCodeOf(running);
  const isAuditPassed = auditCode === exitCodes.passed;
  if (!isAuditPassed && auditCode !== exitCodes.failed) throw new NotJudged('The audit judged nothing.');
  process.stdout.write(formatVerdict(thresholds, isAuditPassed));
  const isPassed = isAuditPassed && thresholds.every((threshold) => threshold.isPassed);
  return isPassed ? exitCodes.passed : exitCodes.failed;
}

/** Its progress and its own summary are on the terminal; without one there is only the summary. */
function startK6(k6: string, options: StressOptions, files: K6Files): ChildProcess {
  const quiet = process.stderr.isTTY ? [] : ['--quiet'];
  return spawn(k6, k6Arguments(files, [...quiet, ...options.k6Args]), {
    stdio: 'inherit',
    env: { ...process.env, ...options.k6Environment, RECORD: 'true' },
    // Out of reach of the terminal's Ctrl-C: at a second one beside that which is passed on, k6 leaves no summary.
    detached: true,
  });
}

function startAudit(args: readonly string[]): ChildProcess {
  return spawn(process.execPath, [join(import.meta.dirname, 'audit.ts'), ...args], { stdio: 'inherit' });
}

/** @returns null when a signal has ended it. */
async function exitCodeOf(child: ChildProcess): Promise<number | null> {
  const [code] = (await once(child, 'exit')) as [number | null];
  return code;
}

await runCommand({
  command: 'npm run stress --',
  help,
  read: () => readStressOptions(process.argv.slice(2), process.env),
  run: stress,
});
