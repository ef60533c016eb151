/**
 * Chooses and starts MongoDB: MONGODB_URI, else the first engine that works.
 *
 * A data folder stays with the engine that filled it: once it holds data, that engine goes first, so that
 * a mongod which appears later, or a download that succeeds at last, does not show an empty database.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import {
  closeMongoClient,
  createMongoClient,
  openDatabase,
  ping as pingDatabase,
} from '@assessment/api/mongo';
import { names } from '@assessment/api/names';
import { reasonOf } from '../command-line/reason.ts';
import type { Child, ChildOptions } from './child.ts';
import type { Config } from './config.ts';
import { type Engine, type EngineSurroundings, holdsData, listEngines } from './engines.ts';
import type { ChosenPort } from './ports.ts';
import { buildCommand } from './secantusdb.ts';
import { StartError } from './start-error.ts';
import type { Terminal } from './terminal.ts';

/** A clean end writes a checkpoint, which takes its time when the last minute's data is large. */
const stopTimeoutMs = 30_000;

export interface MongoDbSurroundings extends EngineSurroundings {
  config: Config;
  terminal: Terminal;
  port: ChosenPort;
  /** Starts a child and resolves when it is ready. */
  startChild: (options: ChildOptions) => Promise<Child>;
}

/** The URI. @throws StartError when there is no MongoDB to be had. */
export async function startMongoDb(surroundings: MongoDbSurroundings): Promise<string> {
  const { config, terminal } = surroundings;
  if (config.MONGODB_URI !== undefined) return useGiven(config.MONGODB_URI, terminal);
  const engines = listEngines(surroundings);
  const filled = engines.filter((engine) => holdsData(config.DATA_DIR, engine));
  const problems: string[] = [];
  let stuck: StartError | undefined;
  for (const engine of [...filled, ...engines.filter((engine) => !filled.includes(engine))]) {
    // Another engine would come up, with an empty database.
    if (stuck && !filled.includes(engine)) throw stuck;
    let program: string;
    try {
      program = await engine.find();
    } catch (error) {
      surroundings.signal.throwIfAborted();
      problems.push(reasonOf(error));
      continue;
    }
    try {
      return await startEngine(engine, program, { problems, filled, surroundings });
    } catch (error) {
      surroundings.signal.throwIfAborted();
      const folder = join(config.DATA_DIR, engine.folderName);
      if (filled.includes(engine)) stuck ??= stuckWithData(folder, error);
      // It was empty: half a database is not to count as data at the next start.
      else rmSync(folder, { recursive: true, force: true });
      terminal.warn('MongoDB', `${engine.label} did not start`, reasonsOf(error));
      problems.push(`${engine.label} did not start`);
    }
  }
  throw stuck ?? noneWorks(problems);
}

interface Choice {
  /** Why the engines before it are not used. */
  problems: string[];
  filled: Engine[];
  surroundings: MongoDbSurroundings;
}

async function startEngine(engine: Engine, program: string, choice: Choice): Promise<string> {
  const { config, port, startChild } = choice.surroundings;
  const folder = join(config.DATA_DIR, engine.folderName);
  mkdirSync(folder, { recursive: true });
  const uri = `mongodb://127.0.0.1:${port.port}/${names.database}`;
  explain(engine, choice);
  await startChild({
    name: 'MongoDB',
    command: program,
    args: engine.args(folder, port.port),
    env: config.environment,
    logFolder: config.logFolder,
    host: '127.0.0.1',
    port: port.port,
    check: () => ping(uri),
    stopTimeoutMs,
  });
  return uri;
}

function explain(engine: Engine, { problems, filled, surroundings }: Choice): void {
  const { config, port, terminal } = surroundings;
  terminal.entry('MongoDB', engine.label);
  terminal.note('because MONGODB_URI is not set');
  for (const problem of problems) terminal.note(`and ${problem}`);
  if (filled.includes(engine) && engine.folderName !== 'mongod') {
    const folder = join(config.DATA_DIR, engine.folderName);
    terminal.note(`and ${folder} holds its data; another DATA_DIR tries a mongod first`);
  }
  if (port.note) terminal.note(port.note);
  for (const folderName of new Set(filled.map((other) => other.folderName))) {
    if (folderName === engine.folderName) continue;
    const folder = join(config.DATA_DIR, folderName);
    terminal.warn('', `Beware: the data in ${folder} is not seen now; only ${folderName} reads it`);
  }
}

async function useGiven(uri: string, terminal: Terminal): Promise<string> {
  terminal.entry('MongoDB', `${withoutPassword(uri)}, because MONGODB_URI says so`);
  try {
    await ping(uri);
  } catch (error) {
    throw new StartError(
      `MONGODB_URI: no MongoDB answers at ${withoutPassword(uri)} (${reasonOf(error)}).\n` +
        'Start it, set MONGODB_URI to another, or unset it to have one started here.',
    );
  }
  return uri;
}

/** @throws Error when MongoDB does not answer within some two seconds. */
async function ping(uri: string): Promise<void> {
  const client = createMongoClient(uri, { appName: 'npm start', poolSizeMax: 1 });
  try {
    await pingDatabase(openDatabase(client, uri), 2_000);
  } finally {
    await closeMongoClient(client);
  }
}

/** Nor its options, among which may be a password of a key file or of a proxy. */
export function withoutPassword(uri: string): string {
  return uri.replace(/^(mongodb(?:\+srv)?:\/\/)[^/]*@/, '$1***@').replace(/\?.*$/s, '');
}

function stuckWithData(folder: string, error: unknown): StartError {
  return new StartError(
    `${reasonOf(error)}\n${reasonsOf(error).slice(1).join('\n')}\n` +
      `It was to open ${folder}, which holds data, so nothing else is tried in its place.\n` +
      `Set DATA_DIR to another folder to start empty, or move ${basename(folder)} away.`,
  );
}

function noneWorks(problems: string[]): StartError {
  const lines = [
    'There is no MongoDB:',
    ...problems.map((problem) => `  - ${problem}`),
    'Any one of these helps:',
    '  - MONGODB_URI=mongodb://… npm start, with a MongoDB that runs already',
    '  - a mongod on PATH: https://www.mongodb.com/docs/manual/administration/install-community/',
    '  - a way to fastdl.mongodb.org for the download, or MONGOMS_DOWNLOAD_MIRROR with a mirror of it',
    `  - ${buildCommand}`,
    '  - a python3 on PATH with venv and pip, and a way to a package index for pip',
  ];
  return new StartError(lines.join('\n'));
}

function reasonsOf(error: unknown): string[] {
  return error instanceof Error ? error.message.split('\n') : [String(error)];
}
