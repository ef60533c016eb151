/**
 * The real parts that tests run against, each on a free port and in a folder of its own:
 * a MongoDB-protocol server, Google's Pub/Sub emulator and the project's own, and api and writer.
 */
import { join } from 'node:path';
import { sharedVariables } from '@assessment/api/environment';
import { names } from '@assessment/api/names';
import { createFolder, findFreePort, type RunningProcess, startProcess } from './process.ts';
import { findGoogleEmulator, findMongoDb, wanted } from './programs.ts';

export interface MongoDb extends RunningProcess {
  uri: string;
}

export interface Broker extends RunningProcess {
  /** As PUBSUB_EMULATOR_HOST wants it. */
  host: string;
}

/** The api or the writer. */
export interface NodeProcess extends RunningProcess {
  url: string;
}

const root = join(import.meta.dirname, '..');
const projectId = sharedVariables.PUBSUB_PROJECT_ID.parse(undefined);

/** Where a part keeps its data, a folder of its own without; and what runs it, such as `['sh', '-c', …]`. */
export interface Place {
  folder?: string;
  wrapper?: readonly string[];
}

/** Data stays over `restart`. */
export async function startMongoDb({
  folder = createFolder(),
  wrapper = [],
  storage = [],
  pemFile,
}: Place & {
  storage?: string[];
  /** A certificate and its key: with it MongoDB takes TLS alone, and wants to know who asks. */
  pemFile?: string;
} = {}): Promise<MongoDb> {
  const command = findMongoDb();
  if (!command) throw new Error(`missing: ${wanted.mongodb}`);
  const port = await findFreePort();
  const args = command.endsWith('mongod')
    ? ['--bind_ip', '127.0.0.1', '--dbpath', folder, '--wiredTigerCacheSizeGB', '0.25']
    : [
        ...['--standalone', '--storage-path', folder, '--cache-size', '256M'],
        ...['--write-tickets', '10', '--sync-on-commit', ...storage],
      ];
  if (pemFile !== undefined) {
    args.push(
      '--auth',
      ...(command.endsWith('mongod')
        ? ['--tlsMode', 'requireTLS', '--tlsCertificateKeyFile', pemFile]
        : ['--tls-cert-file', pemFile, '--tls-key-file', pemFile]),
    );
  }
  const running = await startProcess({
    ...wrap([command, ...args, '--port', String(port)], wrapper),
    ready: /listening on|Waiting for connections/,
  });
  return Object.assign(running, { uri: `mongodb://127.0.0.1:${port}/${names.database}` });
}

/** Google's emulator with the contract's topics. It keeps no message over `restart`, which declares them again. */
export async function startGoogleEmulator(): Promise<Broker> {
  const running = await startEmptyGoogleEmulator();
  const { host, restart } = running;
  await declareTopics(host);
  return Object.assign(running, {
    async restart() {
      await restart();
      await declareTopics(host);
    },
  });
}

/** Google's emulator with nothing in it. `ready` is what it prints when the test goes on. */
export async function startEmptyGoogleEmulator(
  options: { port?: number; args?: string[]; ready?: RegExp } = {},
): Promise<Broker> {
  const jar = findGoogleEmulator();
  if (!jar) throw new Error(`missing: ${wanted.googleEmulator}`);
  const port = options.port ?? (await findFreePort());
  const running = await startProcess({
    command: 'java',
    args: ['-jar', jar, '--host=127.0.0.1', `--port=${port}`, ...(options.args ?? [])],
    ready: options.ready ?? /Server started/,
  });
  return Object.assign(running, { host: `127.0.0.1:${port}` });
}

/** The project's own emulator with the contract's topics, or others. What it confirmed stays over `restart`. */
export async function startEmulator(
  declared: string = JSON.stringify(declarations),
  { folder = createFolder(), wrapper = [] }: Place = {},
): Promise<Broker> {
  const host = `127.0.0.1:${await findFreePort()}`;
  const args = [
    join(root, 'emulator/src/main.js'),
    ...[`--host-port=${host}`, `--project=${projectId}`],
    ...[`--data-dir=${folder}`, `--declare=${declared}`],
  ];
  const running = await startProcess({
    ...wrap([process.execPath, ...args], wrapper),
    ready: /emulator ready/,
  });
  return Object.assign(running, { host });
}

const topicPath = (name: string) => `projects/${projectId}/topics/${name}`;
const subscriptionPath = (name: string) => `projects/${projectId}/subscriptions/${name}`;
/** The longest that both emulators take. */
const kept = { expirationPolicy: {}, messageRetentionDuration: '604800s' };

/** The contract's, as resources of Pub/Sub's REST API. */
export const declarations = {
  topics: [{ name: topicPath(names.topic) }, { name: topicPath(names.deadLetterTopic) }],
  subscriptions: [
    {
      name: subscriptionPath(names.subscription),
      topic: topicPath(names.topic),
      ackDeadlineSeconds: 60,
      ...kept,
    },
    {
      name: subscriptionPath(names.deadLetterSubscription),
      topic: topicPath(names.deadLetterTopic),
      ...kept,
    },
  ],
};

/** By REST; what is there already stays. */
async function declareTopics(host: string): Promise<void> {
  for (const resource of [...declarations.topics, ...declarations.subscriptions]) {
    const response = await fetch(`http://${host}/v1/${resource.name}`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(resource),
    });
    if (!response.ok && response.status !== 409) {
      throw new Error(`${resource.name}: ${response.status} ${await response.text()}`);
    }
  }
}

export interface Backends {
  mongoDb: { uri: string };
  broker: { host: string };
  /** More environment variables, such as `{ PUBLISH_TIMEOUT_MS: '500' }`. */
  env?: Record<string, string>;
  wrapper?: readonly string[];
}

/** The api as its own process, on the same port after `restart`. */
export async function startApi(backends: Backends): Promise<NodeProcess> {
  const port = await findFreePort();
  const running = await startNode(join(root, 'api/src/main.ts'), backends, { PORT: String(port) });
  return Object.assign(running, { url: `http://127.0.0.1:${port}` });
}

/** The writer as its own process; `entry` for another one than the real. */
export async function startWriter(
  backends: Backends,
  entry = join(root, 'writer/src/main.ts'),
): Promise<NodeProcess> {
  const port = await findFreePort();
  const running = await startNode(entry, backends, { PORT: String(port) });
  return Object.assign(running, { url: `http://127.0.0.1:${port}` });
}

function startNode(
  entry: string,
  { mongoDb, broker, env, wrapper = [] }: Backends,
  more: Record<string, string>,
) {
  return startProcess({
    ...wrap([process.execPath, entry], wrapper),
    env: {
      MONGODB_URI: mongoDb.uri,
      PUBSUB_EMULATOR_HOST: broker.host,
      PUBSUB_PROJECT_ID: projectId,
      HOST: '127.0.0.1',
      ...more,
      ...env,
    },
    ready: /"msg":"listening"/,
  });
}

function wrap(command: string[], wrapper: readonly string[]): { command: string; args: string[] } {
  const [first = '', ...args] = [...wrapper, ...command];
  return { command: first, args };
}
