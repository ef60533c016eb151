/** How every command begins and ends: options, an exit code, and one sentence instead of a stack for what was expected. */
import { InvalidEnvironment } from '@assessment/api/environment';
import { CannotRun } from './cannot-run.ts';
import { BadUsage } from './flags.ts';
import { endProgress } from './progress.ts';
import { interruptedExitCode } from './stop-signals.ts';

export const exitCodes = { passed: 0, failed: 1, cannotRun: 2, interrupted: interruptedExitCode } as const;

export interface Command<Options extends object> {
  /** As it is typed before its flags, such as `npm run audit --`. */
  command: string;
  help: string;
  /** Reads the command line. @throws BadUsage */
  read: () => Options | 'help';
  /** @returns the exit code. @throws CannotRun, InvalidEnvironment */
  run: (options: Options) => Promise<number> | number;
  /** After an error that nobody expected: a judgement that broke off has judged nothing, a measurement has failed. */
  crashExitCode?: number;
}

/** Sets the exit code: 0 after --help, `cannotRun` at bad usage and where a part is not there, else as `run` says. */
export async function runCommand<Options extends object>(options: Command<Options>): Promise<void> {
  const { command, help, read, run, crashExitCode = exitCodes.cannotRun } = options;
  // Also at a Ctrl-C at which test/process.ts ends what was started.
  process.once('exit', endProgress);
  try {
    const given = read();
    if (given !== 'help') process.exitCode = await run(given);
    else process.stdout.write(help);
  } catch (error) {
    const isExpected = error instanceof CannotRun || error instanceof InvalidEnvironment;
    endProgress();
    console.error(isExpected ? error.message : error);
    if (error instanceof BadUsage) console.error(`${command} --help says more`);
    // What still runs would go on; test/process.ts ends it.
    process.exit(isExpected ? exitCodes.cannotRun : crashExitCode);
  }
}
