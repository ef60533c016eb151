/** The whole system, measured side by side. `npm run bench -- --help` says how. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { exitCodes, runCommand } from '../../command-line/command.ts';
import { endProgress, showProgress } from '../../command-line/progress.ts';
import { needs } from '../../test/programs.ts';
import { createOutFolder } from '../out-folder.ts';
import { NotJudged } from '../run.ts';
import { Figures } from './figures.ts';
import { describeCommit, describeMachine } from './machine.ts';
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
import type { BenchRun } from './run.ts';
import { createTitles, type RowName } from './titles.ts';

const measures: Record<RowName, (run: BenchRun) => Promise<void>> = {
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

async function runBench({ rows, scale, isQuick, beside, folder }: BenchOptions): Promise<number> {
  const { skip } = needs('mongodb', 'wrk');
  if (skip) throw new NotJudged(skip);
  await createOutFolder(folder);
  const machine = describeMachine();
  const titles = createTitles(scale);
  const figures = new Figures();
  const head = [
    `Medians of ${scale.rounds} rounds (least–most), everything of a row in turn. The ratio is how many times better ours is.`,
    ...(beside === undefined ? [] : [`“beside” is commit ${describeCommit(beside)}.`]),
    ...(isQuick ? ['Quick: too short to be quoted.'] : []),
  ];
  const measured: RowName[] = [];
  try {
    for (const row of rows) {
      const say = (text: string) => showProgress(`${row}: ${text}`);
      await measures[row]({ scale, checkout: beside, figures, say });
      measured.push(row);
      writeFileSync(join(folder, 'bench.json'), `${JSON.stringify({ machine, ...figures }, null, 2)}\n`);
      writeFileSync(join(folder, 'bench.svg'), writePlot(figures.all, { machine, titles }));
    }
  } finally {
    // A row that fails does not take with it what took an hour before.
    endProgress();
    process.stdout.write(writeReport(figures, { machine, head, rows: measured, titles }));
  }
  return exitCodes.passed;
}

await runCommand({
  command: 'npm run bench --',
  help,
  read: () => readOptions(process.argv.slice(2)),
  run: runBench,
  crashExitCode: exitCodes.failed,
});
