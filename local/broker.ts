/** Chooses and starts the broker: PUBSUB_EMULATOR_HOST, else the first emulator that is here. */
import { existsSync, globSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createPubSub } from '@assessment/api/pubsub';
import type { PubSub } from '@google-cloud/pubsub';
import { reasonOf } from '../command-line/reason.ts';
import type { Child, ChildOptions } from './child.ts';
import { type Config, projectRoot } from './config.ts';
import { declare, declareWhenAnswered, watch } from './declare.ts';
import type { ChosenPort } from './ports.ts';
import { askProgram, findProgram } from './programs.ts';
import { StartError } from './start-error.ts';
import { clockTime, type Terminal } from './terminal.ts';

export interface BrokerSurroundings {
  config: Config;
  terminal: Terminal;
  port: ChosenPort;
  signal: AbortSignal;
  startChild: (options: ChildOptions) => Promise<Child>;
}

interface Emulator {
  label: string;
  /** What somebody should know who relies on it. */
  note?: string;
  /** How it is started. @throws Error that says in a few words why it cannot be. */
  find(): Promise<{ command: string; args: string[] }>;
}

/** The project's own writes its log to the end before it goes. */
const stopTimeoutMs = 10_000;

const givenTimeoutMs = 10_000;

/** Its host:port, with everything declared. @throws StartError when there is no broker to be had. */
export async function startBroker(surroundings: BrokerSurroundings): Promise<string> {
  const { config, terminal, port, startChild } = surroundings;
  if (config.PUBSUB_EMULATOR_HOST !== undefined) return useGiven(config.PUBSUB_EMULATOR_HOST, surroundings);
  const host = `127.0.0.1:${port.port}`;
  const problems: string[] = [];
  for (const emulator of listEmulators(config, port.port)) {
    let program: { command: string; args: string[] };
    try {
      program = await emulator.find();
    } catch (error) {
      problems.push(reasonOf(error));
      continue;
    }
    terminal.entry('Broker', emulator.label);
    terminal.note('because PUBSUB_EMULATOR_HOST is not set');
    for (const problem of problems) terminal.note(`and ${problem}`);
    for (const note of [emulator.note, port.note]) if (note) terminal.note(note);
    const pubsub = connect(config, host);
    await startChild({
      name: 'Broker',
      ...program,
      env: config.environment,
      logFolder: config.logFolder,
      host: '127.0.0.1',
      port: port.port,
      check: () => declare(pubsub),
      stopTimeoutMs,
    });
    return host;
  }
  throw noneWorks(problems);
}

function listEmulators(config: Config, port: number): Emulator[] {
  return [
    {
      label: 'the emulator of this project',
      async find() {
        const entry = join(projectRoot, 'emulator', 'src', 'main.js');
        if (!existsSync(entry)) throw new Error('this project has no emulator/');
        const args = [
          entry,
          `--host-port=127.0.0.1:${port}`,
          `--project=${config.PUBSUB_PROJECT_ID}`,
          `--data-dir=${join(config.DATA_DIR, 'emulator')}`,
        ];
        return { command: process.execPath, args };
      },
    },
    {
      label: "Google's Pub/Sub emulator, found beside gcloud",
      note: 'It keeps messages in memory: what is not stored in MongoDB when it ends is lost',
      find: () => findGoogleEmulator(config, port),
    },
  ];
}

/** Without gcloud's own wrapper, which ends alone and leaves the JVM behind. */
async function findGoogleEmulator(
  config: Config,
  port: number,
): Promise<{ command: string; args: string[] }> {
  const gcloud = findProgram('gcloud', config.searchPath);
  if (!gcloud) throw new Error('no gcloud on PATH');
  const jar = findJar(dirname(dirname(realpathSync(gcloud)))) ?? findJar(await askForSdk(gcloud));
  if (!jar) throw new Error('gcloud is here without its component pubsub-emulator');
  const java = config.JAVA_HOME
    ? join(config.JAVA_HOME, 'bin', 'java')
    : findProgram('java', config.searchPath);
  if (!java) throw new Error("Google's emulator needs Java, and there is no java on PATH");
  // macOS has a java on PATH that only says where to get one.
  await askProgram(java, ['-version']).catch((error) => {
    throw new Error(`Google's emulator needs Java, and ${java} does not run (${reasonOf(error)})`);
  });
  return { command: java, args: ['-jar', jar, '--host=127.0.0.1', `--port=${port}`] };
}

function findJar(sdkFolder: string): string | undefined {
  return globSync(join(sdkFolder, 'platform', 'pubsub-emulator', 'lib', 'cloud-pubsub-emulator-*.jar'))[0];
}

/** For a gcloud on PATH that is a wrapper; it takes seconds. */
function askForSdk(gcloud: string): Promise<string> {
  return askProgram(gcloud, ['info', '--format=value(installation.sdk_root)']);
}

async function useGiven(host: string, surroundings: BrokerSurroundings): Promise<string> {
  const { config, terminal, signal } = surroundings;
  terminal.entry('Broker', `${host}, because PUBSUB_EMULATOR_HOST says so`);
  const pubsub = connect(config, host);
  try {
    await declareWhenAnswered(pubsub, { timeoutMs: givenTimeoutMs, signal });
  } catch (error) {
    if (error instanceof StartError) throw error;
    signal.throwIfAborted();
    throw new StartError(
      `PUBSUB_EMULATOR_HOST: no Pub/Sub emulator answers at ${host} (${reasonOf(error)}).\n` +
        'Start it, set PUBSUB_EMULATOR_HOST to another, or unset it to have one started here.',
    );
  }
  // Somebody else may restart it, and nobody but this process can tell it the topics then.
  void watch(pubsub, {
    signal,
    onDeclared(created) {
      terminal.warn('Broker', `${clockTime()} came back empty; declared ${created.join(', ')} again`);
    },
  });
  return host;
}

/** The client reads PUBSUB_EMULATOR_HOST of this process itself. */
function connect(config: Config, host: string): PubSub {
  process.env.PUBSUB_EMULATOR_HOST = host;
  return createPubSub({ ...config, PUBSUB_EMULATOR_HOST: host });
}

function noneWorks(problems: string[]): StartError {
  const lines = [
    'There is no Pub/Sub broker:',
    ...problems.map((problem) => `  - ${problem}`),
    'Either of these helps:',
    '  - PUBSUB_EMULATOR_HOST=127.0.0.1:8085 npm start, with an emulator that runs already',
    '  - gcloud components install pubsub-emulator, and Java on PATH or JAVA_HOME',
  ];
  return new StartError(lines.join('\n'));
}
