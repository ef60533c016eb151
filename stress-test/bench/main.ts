/** The whole system, measured side by side. `npm run bench -- --help` says how. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { needs } from '../../test/parts.ts';
import { readOptionsOrExit } from '../flags.ts';
import { endProgress, showProgress } from '../progress.ts';
import { NotJudged } from '../run.ts';
import { Figures } from './figures.ts';
import { describeMachine } from './machine.ts';
import { type BenchOptions, help, readOptions } from './options.ts';
import { writePlot } from './plot.ts';
import { writeReport } from './report.ts';
import { measureAssessment } from './rows/assessment.ts';
import { measureBrokers } from './rows/brokers.ts';
import { measureDirect } from './rows/direct.ts';
import { measureDrain } from './rows/drain.ts';
import { measureLatency } from './rows/latency.ts';
import { measureScaling } from './rows/scaling.ts';
import { measureSteady } from './rows/steady.ts';
import { measureThink } from './rows/think.ts';
import { measureUsers } from './rows/users.ts';
import type { Run } from './run.ts';
import { type RowName, titles } from './titles.ts';

const exitCodes = { measured: 0, failed: 1, notMeasured: 2 } as const;

const measures: Record<RowName, (run: Run) => Promise<void>> = {
  steady: measureSteady,
  users: measureUsers,
  assessment: measureAssessment,
  think: measureThink,
  drain: measureDrain,
  direct: measureDirect,
  brokers: measureBrokers,
  latency: measureLatency,
  scaling: measureScaling,
};

async function runBench({ rows, scale, isQuick, folder }: BenchOptions): Promise<void> {
  const { skip } = needs('mongodb', 'wrk');
  if (skip) throw new NotJudged(skip);
  createFolder(folder);
  const machine = describeMachine();
  const figures = new Figures();
  for (const row of rows) {
    const say = (text: string) => showProgress(`${row}: ${text}`);
    await measures[row]({ scale, figures, say });
  }
  endProgress();
  const head = [
    `Medians of ${scale.rounds} rounds (least–most), everything of a row in turn. The ratio is how many times better ours is.`,
    ...(isQuick ? ['Quick: too short to be quoted.'] : []),
  ];
  process.stdout.write(writeReport(figures, { machine, head, rows, titles }));
  writeFileSync(join(folder, 'bench.json'), `${JSON.stringify({ machine, ...figures }, null, 2)}\n`);
  writeFileSync(join(folder, 'bench.svg'), writePlot(figures.all, machine));
}

function createFolder(folder: string): void {
  try {
    mkdirSync(folder);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== 'EEXIST') throw new NotJudged(`--out: ${message}`);
  }
}

// Also at Ctrl-C, at which test/process.ts ends what was started.
process.once('exit', endProgress);
const options = readOptionsOrExit('npm run bench --', help, () => readOptions(process.argv.slice(2)));
try {
  await runBench(options);
  process.exitCode = exitCodes.measured;
} catch (error) {
  const isExpected = error instanceof NotJudged;
  endProgress();
  console.error(isExpected ? error.message : error);
  process.exitCode = isExpected ? exitCodes.notMeasured : exitCodes.failed;
}
