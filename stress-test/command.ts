/** How every command here ends: an exit code, and for what was expected one sentence instead of a stack. */
import { InvalidEnvironment } from '@assessment/api/environment';
import { BadUsage, hintOf } from './flags.ts';
import { NotJudged } from './run.ts';

export const exitCodes = { passed: 0, failed: 1, notJudged: 2 } as const;

/** Sets the exit code to what `run` resolves with, or to `notJudged`. */
export async function runCommand(name: string, run: () => Promise<number>): Promise<void> {
  try {
    process.exitCode = await run();
  } catch (error) {
    const isExpected = [BadUsage, NotJudged, InvalidEnvironment].some((kind) => error instanceof kind);
    console.error(isExpected ? (error as Error).message : error);
    if (error instanceof BadUsage) console.error(hintOf(`npm run ${name} --`));
    process.exitCode = exitCodes.notJudged;
  }
}
