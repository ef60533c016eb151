/** How every command here ends: an exit code, and for what was expected one sentence instead of a stack. */
import { InvalidEnvironment } from '@assessment/api/environment';
import { BadUsage, hintOf } from '../command-line/flags.ts';
import { endProgress } from '../command-line/progress.ts';
import { NotJudged } from './run.ts';

export const exitCodes = { passed: 0, failed: 1, notJudged: 2 } as const;

export interface Command<Options extends object> {
  /** Of its script in package.json. */
  name: string;
  help: string;
  /** Reads the command line. @throws BadUsage */
  read: () => Options | 'help';
  /** @returns the exit code. @throws NotJudged, InvalidEnvironment */
  run: (options: Options) => Promise<number> | number;
  /** After an error that nobody expected: a judgement that broke off has judged nothing, a measurement has failed. */
  crashExitCode?: number;
}

/** Sets the exit code: 0 after --help, `notJudged` at bad usage and where a part is not there, else as `run` says. */
export async function runCommand<Options extends object>(command: Command<Options>): Promise<void> {
  const { name, help, read, run, crashExitCode = exitCodes.notJudged } = command;
  // Also at a Ctrl-C at which test/process.ts ends what was started.
  process.once('exit', endProgress);
  try {
    const options = read();
    if (options !== 'help') process.exitCode = await run(options);
    else process.stdout.write(help);
  } catch (error) {
    const isExpected = [BadUsage, NotJudged, InvalidEnvironment].some((kind) => error instanceof kind);
    endProgress();
    console.error(isExpected ? (error as Error).message : error);
    if (error instanceof BadUsage) console.error(hintOf(`npm run ${name} --`));
    process.exitCode = isExpected ? exitCodes.notJudged : crashExitCode;
  }
}
