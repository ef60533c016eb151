/** What is measured side by side: the project's emulator, Google's, and others that run already. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { createFolder, findFreePort, type RunningProcess, startProcess } from '../../test/process.ts';
import { findGoogleEmulator, needs } from '../../test/programs.ts';

export interface Server {
  host: string;
  /** undefined: of one that was given without its process. */
  pid(): number | undefined;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** On the same port and folder; resolves when it says that it is ready. */
  restart(): Promise<void>;
  /** Ends it and removes what it left. */
  stop(): Promise<void>;
}

interface Launch {
  /** Known before it listens. */
  host: string;
  /** When its process was started, on the clock of `performance.now()`. */
  begin: number;
  ready: Promise<Server>;
}

export interface Contender {
  name: string;
  /** False: it runs already, and nothing that starts or ends it is measured. */
  canStart: boolean;
  /** Bounds what is left with it unacked: undefined: all that is asked for. */
  backlogMax?: number;
  launch(wrapper?: string[]): Promise<Launch>;
}

export interface Given {
  name: string;
  host: string;
  pid: number | undefined;
}

export const ours: Contender = {
  name: 'ours',
  canStart: true,
  async launch(wrapper = []) {
    const folder = createFolder();
    const host = `127.0.0.1:${await findFreePort()}`;
    const main = join(import.meta.dirname, '../src/main.js');
    const flags = [`--host-port=${host}`, `--data-dir=${folder}`, '--data-bytes-max=100000000000'];
    const begin = performance.now();
    const ready = launch([...wrapper, process.execPath, main, ...flags], /emulator ready/);
    return { host, begin, ready: ready.then((running) => asServer(host, running, folder)) };
  },
};

/** @returns undefined when it is not installed. @throws Error for that with CI=true. */
export function findGoogle(): Contender | undefined {
  const jar = needs('googleEmulator').skip ? undefined : findGoogleEmulator();
  if (!jar) return undefined;
  return {
    name: 'Google’s',
    canStart: true,
    // It grows without end: 300 to 720 MB after 50,000 messages.
    backlogMax: 200_000,
    async launch() {
      const port = await findFreePort();
      const host = `127.0.0.1:${port}`;
      const begin = performance.now();
      const ready = launch(['java', '-jar', jar, '--host=127.0.0.1', `--port=${port}`], /Server started/);
      return { host, begin, ready: ready.then((running) => asServer(host, running)) };
    },
  };
}

export function given({ name, host, pid }: Given): Contender {
  const server: Server = {
    host,
    pid: () => pid,
    kill: () => Promise.reject(new Error(`${name} was not started here`)),
    restart: () => Promise.reject(new Error(`${name} was not started here`)),
    stop: () => Promise.resolve(),
  };
  return {
    name,
    canStart: false,
    backlogMax: 200_000,
    launch: () => Promise.resolve({ host, begin: performance.now(), ready: Promise.resolve(server) }),
  };
}

/** Ready to be asked. */
export async function start(contender: Contender): Promise<Server> {
  const { ready } = await contender.launch();
  return ready;
}

function launch([command = '', ...args]: string[], ready: RegExp): Promise<RunningProcess> {
  return startProcess({ command, args, ready });
}

function asServer(host: string, running: RunningProcess, folder?: string): Server {
  return {
    host,
    pid: running.pid,
    kill: running.kill,
    restart: running.restart,
    async stop() {
      await running.stop();
      if (folder) rmSync(folder, { recursive: true, force: true });
    },
  };
}
