/**
 * One process that is kept running: started → ready → died → a pause → started …, until `stop`.
 *
 * Its first start is different: when it ends, or is not ready in time, `started` rejects and there is no
 * second try, because somebody is there to read why. Later ends are reported, with the last lines of its
 * log, and it is started again after a pause that grows with each end that follows soon.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { reasonOf } from '../command-line/reason.ts';
import { openLog, sizeOf, tailLog, trimLog } from './log-file.ts';
import { isFree } from './ports.ts';
import { signalGroup } from './processes.ts';
import type { RunState } from './run-state.ts';
import { StartError } from './start-error.ts';

export interface ChildOptions {
  name: string;
  command: string;
  args: readonly string[];
  env: NodeJS.ProcessEnv;
  logFolder: string;
  /** Where it will listen. Waited for before each start: some programs stay alive, useless, without it. */
  host: string;
  port: number;
  /** One try; resolves when the child answers as it should. Called until it does, within a time limit of its own. */
  check: () => Promise<unknown>;
  /** What it gets after SIGTERM before SIGKILL. */
  stopTimeoutMs: number;
}

export interface ChildSurroundings {
  runState: Pick<RunState, 'add' | 'remove'>;
  onTrouble: (name: string, text: string, details: string[]) => void;
  onBack: (name: string, text: string) => void;
}

export interface Child {
  readonly name: string;
  readonly logFile: string;
  /** Ready for the first time, or a StartError with the end of its log. */
  readonly started: Promise<void>;
  /** Undefined while it does not run. */
  pid(): number | undefined;
  /** Ends it for good; resolves with how it ended. */
  stop(): Promise<'ended' | 'killed'>;
  /** SIGKILL, for good. */
  kill(): void;
}

interface Run {
  pid: number | undefined;
  isRunning: () => boolean;
  /** Resolves with how it ended, such as `exit code 1`. */
  ended: Promise<string>;
  logStart: number;
}

/** A JVM or a first MongoDB on a busy machine takes ten seconds and more. */
const startTimeoutMs = 60_000;

const checkPauseMs = 100;
const restartPauseMinMs = 250;
const restartPauseMaxMs = 10_000;

/** One that ran for this long is started again at once, whatever came before. */
const longRunMs = 30_000;

const logCheckMs = 5_000;

export function createChild(options: ChildOptions, surroundings: ChildSurroundings): Child {
  const { name } = options;
  const logFile = join(options.logFolder, `${name.toLowerCase()}.log`);
  const stopping = new AbortController();
  const started = Promise.withResolvers<void>();
  // Somebody who stops before the first start does not ask.
  started.promise.catch(() => {});
  let run: Run | undefined;
  const logTimer = setInterval(() => trimLog(logFile), logCheckMs).unref();
  const life = live();

  async function live(): Promise<void> {
    let hasBeenReady = false;
    for (let failures = 0; !stopping.signal.aborted; failures++) {
      await untilPortIsFree();
      if (stopping.signal.aborted) break;
      const launchedAt = performance.now();
      run = launch();
      const problem = await untilReady(run, hasBeenReady ? Number.POSITIVE_INFINITY : startTimeoutMs);
      if (problem === undefined) {
        if (hasBeenReady) surroundings.onBack(name, `is back (process ${run.pid})`);
        hasBeenReady = true;
        started.resolve();
      } else if (run.isRunning()) {
        signal('SIGKILL');
      }
      const how = await run.ended;
      if (stopping.signal.aborted) break;
      if (!hasBeenReady) {
        clearInterval(logTimer);
        started.reject(new StartError(describe(`${name} ${problem ?? `ended (${how})`}.`)));
        return;
      }
      if (performance.now() - launchedAt > longRunMs) failures = 0;
      const pauseMs = Math.min(restartPauseMaxMs, restartPauseMinMs * 2 ** failures);
      const text = `died (${how}); starting it again in ${pauseMs / 1000} s. The end of ${logFile}:`;
      surroundings.onTrouble(name, text, tailLog(logFile, { fromByte: run.logStart }));
      await pause(pauseMs, undefined, { signal: stopping.signal }).catch(() => {});
    }
    clearInterval(logTimer);
    started.reject(new StartError(`${name} was stopped before it was ready.`));
  }

  /** What prevents a start, such as a full disk or a program that was removed, counts as an end. */
  function launch(): Run {
    try {
      return spawnRun();
    } catch (error) {
      const ended = Promise.resolve(reasonOf(error));
      return { pid: undefined, isRunning: () => false, ended, logStart: sizeOf(logFile) };
    }
  }

  function spawnRun(): Run {
    trimLog(logFile);
    const logStart = sizeOf(logFile);
    const log = openLog(logFile);
    const child = spawn(options.command, options.args, {
      env: options.env,
      stdio: ['ignore', log.fd, log.fd],
      // A group of its own: Ctrl-C in the terminal reaches only this process, which ends all in order.
      detached: true,
    });
    log.close();
    const run = { pid: child.pid, logStart, ...watch(child) };
    try {
      if (child.pid !== undefined) surroundings.runState.add(name, child.pid);
    } catch (error) {
      // Nobody would find it after a kill -9 of this process.
      if (child.pid !== undefined) signalGroup(child.pid, 'SIGKILL');
      throw error;
    }
    return run;
  }

  function watch(child: ChildProcess): Pick<Run, 'isRunning' | 'ended'> {
    const { promise: ended, resolve } = Promise.withResolvers<string>();
    let isRunning = child.pid !== undefined;
    child.once('error', (error) => {
      if (child.pid === undefined) resolve(reasonOf(error));
    });
    child.once('exit', (code, signalName) => {
      isRunning = false;
      if (child.pid !== undefined) surroundings.runState.remove(child.pid);
      resolve(signalName ? `killed by ${signalName}` : `exit code ${code}`);
    });
    return { ended, isRunning: () => isRunning };
  }

  /** Undefined when it is ready, else why it is not and will not be waited for. */
  async function untilReady(current: Run, timeoutMs: number): Promise<string | undefined> {
    const deadline = performance.now() + timeoutMs;
    let latest = 'no answer';
    while (current.isRunning()) {
      const isReady = await options.check().then(
        () => true,
        (error) => {
          latest = reasonOf(error);
          return false;
        },
      );
      if (isReady && current.isRunning()) return undefined;
      if (performance.now() > deadline) return `was not ready after ${timeoutMs / 1000} s: ${latest}`;
      await Promise.race([pause(checkPauseMs), current.ended]);
    }
    return `ended before it was ready (${await current.ended})`;
  }

  async function untilPortIsFree(): Promise<void> {
    for (let tries = 0; !stopping.signal.aborted; tries++) {
      if (await isFree(options.host, options.port)) return;
      // A moment after the end of the one before it is normal.
      if (tries === 20) {
        const text = `waits for port ${options.port}, which another process has taken`;
        surroundings.onTrouble(name, text, []);
      }
      await pause(checkPauseMs);
    }
  }

  function describe(text: string): string {
    const tail = tailLog(logFile, { fromByte: run?.logStart ?? 0, lines: 10 });
    return [text, `The end of ${logFile}:`, ...tail.map((line) => `  ${line}`)].join('\n');
  }

  function signal(signalName: NodeJS.Signals): void {
    if (run?.pid !== undefined && run.isRunning()) signalGroup(run.pid, signalName);
  }

  return {
    name,
    logFile,
    started: started.promise,
    pid: () => (run?.isRunning() ? run.pid : undefined),
    async stop() {
      stopping.abort();
      signal('SIGTERM');
      // One that is stopped gets SIGTERM only when it goes on.
      signal('SIGCONT');
      let outcome: 'ended' | 'killed' = 'ended';
      const timer = setTimeout(() => {
        outcome = 'killed';
        signal('SIGKILL');
      }, options.stopTimeoutMs);
      await life;
      clearTimeout(timer);
      return outcome;
    },
    kill() {
      stopping.abort();
      signal('SIGKILL');
    },
  };
}
