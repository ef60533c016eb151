/** `npm run bench:emulator`: options → rows → table on standard output, and JSON beside it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { exitCodes, runCommand } from '../../command-line/command.ts';
import { endProgress, showProgress } from '../../command-line/progress.ts';
import { Figures } from '../../stress-test/bench/figures.ts';
import { describeMachine } from '../../stress-test/bench/machine.ts';
import { writeReport } from '../../stress-test/bench/report.ts';
import { createOutFolder } from '../../stress-test/out-folder.ts';
import { findGoogle, given, ours } from './contenders.ts';
import { type BenchOptions, help, readOptions } from './options.ts';
import { measureBatches } from './rows/batches.ts';
import { measureIdle } from './rows/idle.ts';
import { measureLimits } from './rows/limits.ts';
import { measureMemory } from './rows/memory.ts';
import { measureOfficial } from './rows/official.ts';
import { measureRestart } from './rows/restart.ts';
import { measureStart } from './rows/start.ts';
import type { Run } from './run.ts';
import { type RowName, titles } from './titles.ts';

const measures: Record<RowName, (run: Run) => Promise<void>> = {
  official: measureOfficial,
  batches: measureBatches,
  memory: measureMemory,
  start: measureStart,
  idle: measureIdle,
  restart: measureRestart,
  limits: measureLimits,
};

async function runBench({ rows, scale, isQuick, also, folder }: BenchOptions): Promise<number> {
  if (folder) await createOutFolder(folder);
  const figures = new Figures();
  const google = findGoogle();
  if (!google) {
    figures.note('Google’s emulator is not here: java, and the pubsub-emulator component of gcloud.');
  }
  const contenders = [ours, ...(google ? [google] : []), ...also.map(given)];
  const machine = describeMachine();
  for (const row of rows) {
    const say = (text: string) => showProgress(`${row}: ${text}`);
    await measures[row]({ contenders, scale, figures, say });
  }
  endProgress();
  const head = [
    `Medians of ${scale.runs} runs (least–most), ${scale.starts} of a start; ours and the others in turn. The ratio is how many times better ours is.`,
    ...(isQuick ? ['Quick: too short to be quoted.'] : []),
  ];
  console.log(writeReport(figures, { machine, head, rows, titles }));
  if (folder) {
    const values = `${JSON.stringify({ machine, ...figures }, null, 2)}\n`;
    writeFileSync(join(folder, 'bench-emulator.json'), values);
  }
  return exitCodes.passed;
}

await runCommand({
  command: 'npm run bench:emulator --',
  help,
  read: () => readOptions(process.argv.slice(2)),
  run: runBench,
  crashExitCode: exitCodes.failed,
});
// What was started has ended; a client's connection may linger.
process.exit();
