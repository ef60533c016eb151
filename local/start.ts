/** `npm start`: config → run state → guard → what an earlier start left → stack → until a signal → stop. */
import { exitCodes, runCommand } from '../command-line/command.ts';
import { parseFlags } from '../command-line/flags.ts';
import { onStopSignals } from '../command-line/stop-signals.ts';
import { type Config, help, readConfig } from './config.ts';
import { printEndpoints } from './endpoints.ts';
import { startGuard } from './guard-pipe.ts';
import { reportEarlier } from './leftovers.ts';
import { openRunState, type RunState } from './run-state.ts';
import { createStack } from './stack.ts';
import { StartError } from './start-error.ts';
import { createTerminal, type Terminal } from './terminal.ts';

/** After a second Ctrl-C; what SIGKILL has not ended by then is left to the guard. */
const killTimeoutMs = 1_000;

async function start(config: Config): Promise<number> {
  const terminal = createTerminal();
  const runState = openRunStateOrSay(config.DATA_DIR, terminal);
  if (!runState) return exitCodes.failed;
  const guard = startGuard({
    dataFolder: config.DATA_DIR,
    logFolder: config.logFolder,
    parent: runState.parent,
  });
  const stopping = new AbortController();
  const stack = createStack({ config, terminal, runState, signal: stopping.signal });

  let exitCode: number = exitCodes.passed;
  onStopSignals({
    onFirst(signal) {
      terminal.line();
      terminal.line(`Stopping on ${signal}: what is accepted is stored first. Once more stops at once.`);
      stopping.abort();
    },
    onSecond() {
      terminal.line('Stopping at once.');
      exitCode = exitCodes.interrupted;
      stack.kill();
      setTimeout(() => process.exit(exitCodes.interrupted), killTimeoutMs);
    },
  });

  try {
    await reportEarlier(runState, terminal);
    terminal.line(`Starting with the data in ${config.DATA_DIR}`);
    const aborted = untilAborted(stopping.signal);
    const endpoints = await Promise.race([stack.start(), aborted]);
    if (endpoints) printEndpoints(endpoints, { terminal, config, seconds: performance.now() / 1000 });
    await aborted;
  } catch (error) {
    if (!stopping.signal.aborted) {
      exitCode = exitCodes.failed;
      terminal.line();
      terminal.error(error instanceof StartError ? error.message : String((error as Error).stack ?? error));
      terminal.line();
    }
  }
  stopping.abort();
  await stack.stop();
  await guard.close();
  runState.close();
  if (exitCode === exitCodes.passed) {
    terminal.line(`Everything has stopped; data stays in ${config.DATA_DIR}`);
  }
  return exitCode;
}

function openRunStateOrSay(dataFolder: string, terminal: Terminal): RunState | undefined {
  try {
    return openRunState(dataFolder);
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    terminal.error(error.message);
    return undefined;
  }
}

/** Signal handlers keep no process alive, and children that are all away for a moment do not either. */
async function untilAborted(signal: AbortSignal): Promise<void> {
  const alive = setInterval(() => {}, 60_000);
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
  clearInterval(alive);
}

await runCommand({
  command: 'npm start --',
  help,
  read() {
    const { values } = parseFlags(process.argv.slice(2), { help: { type: 'boolean', short: 'h' } });
    return values.help ? 'help' : readConfig();
  },
  run: start,
  crashExitCode: exitCodes.failed,
});
// Timers and connections of what has stopped may linger.
process.exit();
