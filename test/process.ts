/**
 * Processes that a test starts: ready when their output says so, ended by their own id, and never left
 * behind when the test's process ends, except when that is killed with SIGKILL.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { interruptedExitCode } from '../command-line/stop-signals.ts';

export interface ProcessOptions {
  command: string;
  args?: string[];
  /** On top of this process's own environment; undefined takes a variable away. */
  env?: Record<string, string | undefined>;
  /** Searched in standard output and standard error; the process counts as started when it is found. */
  ready: RegExp;
}

export interface RunningProcess {
  /** Of the process that runs now or ran last; another one after `restart`. */
  pid(): number;
  /** Standard output and standard error since the last start, at most the newest 256 Ki characters. */
  output(): string;
  /** Resolves with the exit code, null when a signal ended it. */
  exited(): Promise<number | null>;
  /** SIGTERM, and SIGKILL when that is not enough; resolves when the process is gone. */
  stop(): Promise<void>;
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void>;
  /** SIGSTOP: connections stay open, nothing is answered. */
  pause(): void;
  /** SIGCONT. */
  resume(): void;
  /** Starts it again as it was started first, with `env` on top for this once; only after its end. */
  restart(env?: ProcessOptions['env']): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** A JVM on a busy machine takes more than ten seconds. */
const startTimeoutMs = 60_000;

/** Longer than the 20 s that a drain may take. */
const stopTimeoutMs = 30_000;

/** Long enough that both are seen, by a program that looks. */
const npmDelayMs = 5;

const outputCharactersMax = 256 * 1024;

const running = new Set<ChildProcess>();
const folders = new Set<string>();

process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
  // A child that is just being killed may still write.
  for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
});
// Not once: npm passes the terminal's SIGINT on, and the second one must not kill what the handler above does.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => process.exit(interruptedExitCode));
}

/** An empty folder, removed when this process ends. */
export function createFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'assessment-test-'));
  folders.add(folder);
  return folder;
}

/** A port that was free a moment ago, for what cannot say which port it chose, or needs the same one twice. */
export async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** @throws Error with the output when the process ends, or says nothing for a minute, before it is ready. */
export async function startProcess(options: ProcessOptions): Promise<RunningProcess> {
  let run = launch(options);
  await run.ready;

  async function end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    // A paused process takes no SIGTERM before it goes on.
    run.child.kill('SIGCONT');
    run.child.kill(signal);
    const timer = setTimeout(() => run.child.kill('SIGKILL'), stopTimeoutMs);
    await run.exited;
    clearTimeout(timer);
  }

  return {
    pid: () => run.child.pid ?? 0,
    output: () => run.output(),
    exited: () => run.exited,
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
    pause: () => void run.child.kill('SIGSTOP'),
    resume: () => void run.child.kill('SIGCONT'),
    async restart(env) {
      if (running.has(run.child)) throw new Error(`${options.command} still runs; stop or kill it first`);
      run = launch({ ...options, env: { ...options.env, ...env } });
      await run.ready;
    },
    [Symbol.asyncDispose]: () => end('SIGTERM'),
  };
}

/** npm passes on a Ctrl-C that the terminal has sent already: one press arrives twice. */
export async function pressCtrlC(pid: number): Promise<void> {
  process.kill(pid, 'SIGINT');
  await pause(npmDelayMs);
  try {
    process.kill(pid, 'SIGINT');
  } catch (error) {
    // It has ended at the first.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Kills `child` when this process ends, if it has not ended before. */
export function endWithThisProcess(child: ChildProcess): void {
  running.add(child);
  child.once('close', () => running.delete(child));
}

const execute = promisify(execFile);

/** Runs a program to its end, or to this process's. @returns its standard output. @throws as execFile. */
export async function runToItsEnd(
  command: string,
  args: string[],
  env: NodeJS.ProcessEnv = {},
): Promise<string> {
  const running = execute(command, args, { env: { ...process.env, ...env } });
  endWithThisProcess(running.child);
  const { stdout } = await running;
  return stdout;
}

/** Returns at once, so that `output` shows what the process has written before it is ready. */
function launch(options: ProcessOptions) {
  const child = spawn(options.command, options.args ?? [], {
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  endWithThisProcess(child);
  const { promise: exited, resolve: exit } = Promise.withResolvers<number | null>();
  const ready = Promise.withResolvers<void>();
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-outputCharactersMax);
      if (options.ready.test(output)) ready.resolve();
    });
  }
  function fail(why: string): void {
    ready.reject(new Error(`${options.command} ${options.args?.join(' ') ?? ''}: ${why}\n${output}`));
  }
  child.once('error', (error) => fail(error.message));
  child.once('close', (code, signal) => {
    exit(code);
    fail(`ended with ${code ?? signal} before it was ready`);
  });
  const timer = setTimeout(() => {
    fail(`not ready after ${startTimeoutMs / 1000} s`);
    child.kill('SIGKILL');
  }, startTimeoutMs);
  return {
    child,
    exited,
    output: () => output,
    ready: ready.promise.finally(() => clearTimeout(timer)),
  };
}
