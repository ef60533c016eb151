/** What is measured: the whole system, each part a process of its own, and the static answer that it is compared with. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Broker, MongoDb, NodeProcess } from '../../test/parts.ts';
import { createFolder, findFreePort, type RunningProcess, startProcess } from '../../test/process.ts';
import { readMetric } from '../metric.ts';

/** Documents since the start of the processes that count them; NaN of what stores nothing. */
interface Counts {
  /** Of requests that were answered with success. */
  accepted: number;
  stored: number;
}

export interface Subject {
  /** Where its api processes are; not empty. */
  urls: string[];
  /** Its processes: api, and for a system broker, writer and MongoDB. */
  parts: Readonly<Record<string, readonly RunningProcess[]>>;
  counts(): Promise<Counts>;
  /** Ends it and removes what it stored. */
  stop(): Promise<void>;
}

export interface System extends Subject {
  mongoDb: MongoDb;
  broker: Broker;
  writers: NodeProcess[];
}

export interface SystemOptions {
  env?: Record<string, string>;
  apiCount?: number;
  writerCount?: number;
  startBroker?: () => Promise<Broker>;
  /** The checkout whose code runs; this one by default. */
  checkout?: string;
}

/** The file of a checkout that starts its parts. */
export function partsOf(checkout: string): string {
  return join(checkout, 'test/parts.ts');
}

const ownCheckout = join(import.meta.dirname, '../..');

export async function startSystem(options: SystemOptions = {}): Promise<System> {
  const { env = {}, apiCount = 1, writerCount = 1, checkout = ownCheckout } = options;
  const parts: typeof import('../../test/parts.ts') = await import(partsOf(checkout));
  const { startApi, startEmulator, startMongoDb, startWriter } = parts;
  const folders = { mongoDb: createFolder(), broker: createFolder() };
  const [mongoDb, broker] = await Promise.all([
    startMongoDb({ folder: folders.mongoDb }),
    options.startBroker?.() ?? startEmulator(undefined, { folder: folders.broker }),
  ]);
  const backends = { mongoDb, broker, env };
  const [apis, writers] = await Promise.all([
    Promise.all(Array.from({ length: apiCount }, () => startApi(backends))),
    Promise.all(Array.from({ length: writerCount }, () => startWriter(backends))),
  ]);
  return {
    urls: apis.map(({ url }) => url),
    parts: { api: apis, broker: [broker], writer: writers, MongoDB: [mongoDb] },
    mongoDb,
    broker,
    writers,
    counts: async () => ({
      accepted: await sumMetric(apis, 'api_writes_confirmed_total'),
      stored: await sumMetric(writers, 'writer_writes_inserted_total'),
    }),
    async stop() {
      await Promise.all([...apis, ...writers].map((running) => running.stop()));
      await Promise.all([broker.stop(), mongoDb.stop()]);
      for (const folder of Object.values(folders)) rmSync(folder, { recursive: true, force: true });
    },
  };
}

export async function startStatic(): Promise<Subject> {
  const port = await findFreePort();
  const running = await startProcess({
    command: process.execPath,
    args: [join(import.meta.dirname, 'static.ts')],
    env: { PORT: String(port) },
    ready: /listening/,
  });
  return {
    urls: [`http://127.0.0.1:${port}`],
    parts: { api: [running] },
    counts: async () => ({ accepted: Number.NaN, stored: Number.NaN }),
    stop: running.stop,
  };
}

async function sumMetric(processes: readonly NodeProcess[], name: string): Promise<number> {
  const values = await Promise.all(processes.map(({ url }) => readMetric(url, name)));
  return values.reduce((sum, value) => sum + value, 0);
}
