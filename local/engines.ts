/** The programs that can be the MongoDB of `npm start`, in the order in which they are tried. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { reasonOf } from '../command-line/reason.ts';
import type { Config } from './config.ts';
import { downloadMongod, mongodFile, mongodVersion } from './mongod-download.ts';
import { askProgram, findProgram, isProgram } from './programs.ts';
import type { RunState } from './run-state.ts';
import { installSecantusPy, isSecantusPyInstalled, secantusArgs, secantusPyFile } from './secantusdb.ts';
import type { Terminal } from './terminal.ts';

export interface Engine {
  /** Its folder in the data folder: no engine opens another's files. */
  folderName: 'mongod' | 'secantusd-rs' | 'secantusd-py';
  /** What it is and where it comes from, for the terminal. */
  label: string;
  /** The program, found or fetched. @throws Error that says in a few words why there is none. */
  find(): Promise<string>;
  args(folder: string, port: number): string[];
}

export interface EngineSurroundings {
  config: Pick<Config, 'cacheFolder' | 'logFolder' | 'searchPath'>;
  terminal: Pick<Terminal, 'progress'>;
  runState: Pick<RunState, 'add' | 'remove'>;
  signal: AbortSignal;
}

export function listEngines(surroundings: EngineSurroundings): Engine[] {
  const { cacheFolder, searchPath } = surroundings.config;
  const programOnPath = (name: string) => {
    const program = findProgram(name, searchPath);
    if (!program) throw new Error(`no ${name} on PATH`);
    return program;
  };
  const rustArgs = (folder: string, port: number) => [
    ...secantusArgs(folder, port),
    // The manifest's number of write tickets; the reads have none to set.
    ...['--write-tickets', '10'],
  ];
  return [
    {
      folderName: 'mongod',
      label: 'mongod on PATH',
      async find() {
        const program = programOnPath('mongod');
        await askProgram(program, ['--version']).catch((error) => {
          throw new Error(`${program} does not run (${reasonOf(error)})`);
        });
        return program;
      },
      args: mongodArgs,
    },
    {
      folderName: 'mongod',
      label: `mongod ${mongodVersion}, downloaded into ${cacheFolder}`,
      find: () => findDownloadedMongod(surroundings),
      args: mongodArgs,
    },
    {
      folderName: 'secantusd-rs',
      label: 'SecantusDB (Rust) on PATH, a stand-in for mongod',
      find: async () => programOnPath('secantusd-rs'),
      args: rustArgs,
    },
    {
      folderName: 'secantusd-rs',
      label: `SecantusDB (Rust) in ${cacheFolder}, a stand-in for mongod`,
      async find() {
        const program = join(cacheFolder, 'bin', 'secantusd-rs');
        if (!isProgram(program)) throw new Error('no secantusd-rs in the cache folder');
        return program;
      },
      args: rustArgs,
    },
    {
      folderName: 'secantusd-py',
      label: `SecantusDB (Python) in ${cacheFolder}, a stand-in for mongod`,
      find: () => findSecantusPy(surroundings),
      args: secantusArgs,
    },
  ];
}

export function holdsData(dataFolder: string, { folderName }: Pick<Engine, 'folderName'>): boolean {
  const folder = join(dataFolder, folderName);
  return existsSync(folder) && readdirSync(folder).length > 0;
}

/** The cache and the tickets of k8s/mongodb/deployment.yaml. */
function mongodArgs(folder: string, port: number): string[] {
  return [
    ...['--bind_ip', '127.0.0.1', '--port', String(port), '--dbpath', folder],
    // A socket in /tmp would outlive a kill -9.
    ...['--nounixsocket', '--wiredTigerCacheSizeGB', '0.25'],
    ...['--setParameter', 'wiredTigerConcurrentReadTransactions=10'],
    ...['--setParameter', 'wiredTigerConcurrentWriteTransactions=10'],
  ];
}

async function findDownloadedMongod({ config, terminal, signal }: EngineSurroundings): Promise<string> {
  const { cacheFolder } = config;
  if (isProgram(mongodFile(cacheFolder))) return mongodFile(cacheFolder);
  const progress = terminal.progress('MongoDB', `downloading mongod ${mongodVersion}, once`);
  try {
    const onProgress = (percent: number) => {
      progress.update(`downloading mongod ${mongodVersion}, once: ${percent} %`);
    };
    return await downloadMongod({ cacheFolder, onProgress, signal });
  } catch (error) {
    throw new Error(`mongod ${mongodVersion} cannot be downloaded (${downloadProblem(error)})`);
  } finally {
    progress.end();
  }
}

/** The package's message has the address and then the reason, on lines of their own. */
function downloadProblem(error: unknown): string {
  const lines = error instanceof Error ? error.message.split('\n') : [String(error)];
  return lines.find((line) => line !== '' && !line.startsWith('Download failed')) ?? reasonOf(error);
}

async function findSecantusPy({ config, terminal, runState, signal }: EngineSurroundings): Promise<string> {
  const { cacheFolder } = config;
  if (isSecantusPyInstalled(cacheFolder)) return secantusPyFile(cacheFolder);
  const progress = terminal.progress('MongoDB', 'installing SecantusDB with pip, once; about 20 s');
  const logFile = join(config.logFolder, 'pip.log');
  try {
    return await installSecantusPy({ ...config, name: 'pip', logFile, runState, signal });
  } catch (error) {
    throw new Error(`SecantusDB cannot be installed with pip (${reasonOf(error)})`);
  } finally {
    progress.end();
  }
}
