/** `npm run bench:emulator`: options → rows → table on standard output, and JSON beside it. */
import { writeFileSync } from 'node:fs';
import { readOptionsOrExit } from '../../command-line/flags.ts';
import { endProgress, showProgress } from '../../command-line/progress.ts';
import { Figures } from '../../stress-test/bench/figures.ts';
import { describeMachine } from '../../stress-test/bench/machine.ts';
import { writeReport } from '../../stress-test/bench/report.ts';
import { findGoogle, given, ours } from './contenders.ts';
import { help, readOptions } from './options.ts';
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

const options = readOptionsOrExit('npm run bench:emulator --', help, () =>
  readOptions(process.argv.slice(2)),
);
// Also at Ctrl-C, at which test/process.ts ends what was started.
process.once('exit', endProgress);
const figures = new Figures();
const google = findGoogle();
if (!google)
  figures.note('Google’s emulator is not here: java, and the pubsub-emulator component of gcloud.');
const contenders = [ours, ...(google ? [google] : []), ...options.also.map(given)];
const machine = describeMachine();
try {
  for (const row of options.rows) {
    const say = (text: string) => showProgress(`${row}: ${text}`);
    await measures[row]({ contenders, scale: options.scale, figures, say });
  }
} catch (error) {
  endProgress();
  console.error(error);
  process.exit(1);
}
endProgress();
const { rows, scale, isQuick } = options;
const head = [
  `Medians of ${scale.runs} runs (least–most), ${scale.starts} of a start; ours and the others in turn. The ratio is how many times better ours is.`,
  ...(isQuick ? ['Quick: too short to be quoted.'] : []),
];
console.log(writeReport(figures, { machine, head, rows, titles }));
if (options.out) writeFileSync(options.out, `${JSON.stringify({ machine, ...figures }, null, 2)}\n`);
// What was started has ended; a client's connection may linger.
process.exit(0);
