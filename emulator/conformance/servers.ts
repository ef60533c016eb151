/** The emulators under test, each a process of its own on a free port. */
import { join } from 'node:path';
import { type Broker, startEmptyGoogleEmulator } from '../../test/parts.ts';
import { createFolder, findFreePort, startProcess } from '../../test/process.ts';

export type Kind = 'ours' | 'google';

export type Server = Broker;

export interface StartOptions {
  port?: number;
  /** The only project served. */
  project?: string;
  /** Of this emulator alone. */
  flags?: string[];
  /** What it prints when the check goes on. */
  ready?: RegExp;
}

const main = join(import.meta.dirname, '../src/main.js');

export async function startServer(kind: Kind, options: StartOptions = {}): Promise<Server> {
  return kind === 'ours' ? startOurs(options) : startGoogles(options);
}

function startGoogles({ flags: _, project, ...options }: StartOptions): Promise<Server> {
  return startEmptyGoogleEmulator({
    ...options,
    args: project === undefined ? [] : [`--projects=${project}`],
  });
}

async function startOurs({ port, project, flags = [], ready }: StartOptions): Promise<Server> {
  const host = `127.0.0.1:${port ?? (await findFreePort())}`;
  const running = await startProcess({
    command: process.execPath,
    args: [
      main,
      ...[`--host-port=${host}`, `--data-dir=${createFolder()}`, ...flags],
      ...(project === undefined ? [] : [`--project=${project}`]),
    ],
    ready: ready ?? /emulator ready/,
  });
  return Object.assign(running, { host });
}
