/** The end of the guard's pipe that `npm start` holds. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openLog } from './log-file.ts';
import type { RecordedProcess } from './processes.ts';

export interface GuardPipe {
  /** Says that nothing is left to end, and waits for the guard's own end. */
  close(): Promise<void>;
}

const guardFile = fileURLToPath(new URL('guard.ts', import.meta.url));

const restartPauseMs = 1_000;

export function startGuard(options: {
  dataFolder: string;
  logFolder: string;
  parent: RecordedProcess;
}): GuardPipe {
  let isClosing = false;
  let guard = start();

  function start(): ChildProcess {
    const log = openLog(join(options.logFolder, 'guard.log'));
    const { parent } = options;
    const child = spawn(
      process.execPath,
      [guardFile, options.dataFolder, String(parent.pid), parent.startedAt],
      // A group of its own, so that neither Ctrl-C nor the end of the terminal reaches it.
      { detached: true, stdio: ['pipe', log.fd, log.fd] },
    );
    log.close();
    child.stdin?.on('error', () => {});
    child.once('error', () => {});
    child.once('exit', () => {
      if (isClosing) return;
      setTimeout(() => {
        if (!isClosing) guard = start();
      }, restartPauseMs);
    });
    return child;
  }

  return {
    async close() {
      isClosing = true;
      if (guard.exitCode !== null || guard.signalCode !== null || !guard.pid) return;
      const exited = once(guard, 'exit');
      guard.stdin?.end('goodbye');
      await exited;
    },
  };
}
