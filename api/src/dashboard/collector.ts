/**
 * Makes a frame a second, for as long as somebody watches: one round of questions however many do.
 * Asked are this process's registry, the /metrics of the writers and the emulator, the readiness checks, and
 * MongoDB's serverStatus. Whatever does not answer in time is missing in the frame, which comes all the same.
 */
import type { Registry } from 'prom-client';
import type { Logger } from '../log.ts';
import type { Readiness } from '../readiness.ts';
import type { Burst } from './burst.ts';
import { createFrame, type Figures, type Frame } from './frame.ts';
import type { MongoDbStatus } from './mongodb-status.ts';
import { judgeParts } from './parts.ts';
import { findProcesses, type Process, type Processes } from './processes.ts';
import { growth, merge, readRegistry, type Sample } from './samples.ts';
import { wanted } from './wanted-metrics.ts';

export interface CollectorOptions {
  registry: Registry;
  readiness: Readiness;
  /** host:port, or undefined: unknown. Of the api: undefined when this process is all there is to see. */
  hosts: { api: string | undefined; writer: string | undefined; emulator: string | undefined };
  mongoDbStatus: () => Promise<MongoDbStatus>;
  /** Documents in the collection, as the reader knows it. */
  documents: () => number | null;
  burst: () => Burst | null;
  onFrame: (frame: Frame) => void;
  logger: Logger;
}

export interface Collector {
  start(): void;
  stop(): void;
}

const intervalMs = 1_000;

/** Memory and tickets change slowly, and the answer of a mongod is 40 kB. */
const mongoDbIntervalMs = 5_000;

const untold: MongoDbStatus = { residentBytes: null, readTickets: null, writeTickets: null };

export function createCollector(options: CollectorOptions): Collector {
  let round: Round | undefined;
  return {
    start() {
      round ??= createRound(options);
    },
    stop() {
      round?.end();
      round = undefined;
    },
  };
}

interface Round {
  end(): void;
}

function createRound(options: CollectorOptions): Round {
  const find = (part: keyof typeof wanted): Processes | undefined => {
    const host = options.hosts[part];
    return host === undefined ? undefined : findProcesses(host, wanted[part]);
  };
  const sources = { api: find('api'), writer: find('writer'), emulator: find('emulator') };
  const compare = { api: createComparison(), writer: createComparison() };
  const status = watchStatus(options.mongoDbStatus);
  let timer: NodeJS.Timeout | undefined;
  let isEnded = false;

  async function askApi(): Promise<Process[]> {
    if (sources.api) return sources.api.ask();
    return [{ address: 'self', sample: await readRegistry(options.registry, wanted.api), isGone: false }];
  }

  let lastAt: number | undefined;
  let brokerSilences = 0;
  let mongoDbSilences = 0;
  async function collect(): Promise<void> {
    const [apis, writers, emulators, ready] = await Promise.all([
      askApi(),
      sources.writer?.ask(),
      sources.emulator?.ask(),
      options.readiness.states(),
    ]);
    brokerSilences = ready['Pub/Sub'] ? 0 : brokerSilences + 1;
    mongoDbSilences = ready.MongoDB ? 0 : mongoDbSilences + 1;
    const at = Date.now();
    const seconds = lastAt === undefined ? 0 : Math.max(0.001, (at - lastAt) / 1000);
    lastAt = at;
    const api = compare.api(apis);
    const writer = compare.writer(writers ?? []);
    const emulator = merge((emulators ?? []).flatMap(({ sample }) => sample ?? []));
    const frame = createFrame({
      ...{ at, seconds, api, writer, emulator },
      documents: options.documents(),
      mongodb: status(),
      burst: options.burst(),
    });
    const parts = judgeParts({
      ...{ api, writer, writers, brokerSilences, mongoDbSilences },
      apis: sources.api && apis,
      oldestAge: frame.backlog.oldestAge,
    });
    if (!isEnded) options.onFrame({ ...frame, parts });
  }

  async function run(): Promise<void> {
    const startedAt = performance.now();
    // A fault in what is only looked at must not end the process: this round has no frame.
    await collect().catch((error) => options.logger.error({ err: error }, 'no frame for the dashboard'));
    if (isEnded) return;
    timer = setTimeout(() => void run(), Math.max(0, intervalMs - (performance.now() - startedAt)));
  }
  void run();

  return {
    end() {
      isEnded = true;
      clearTimeout(timer);
      for (const source of Object.values(sources)) source?.close();
    },
  };
}

/** Puts the processes of a part together, each compared with itself at the time before. */
function createComparison(): (processes: Process[]) => Figures {
  let before: Map<string, Sample> | undefined;
  return (processes) => {
    const now = new Map<string, Sample>();
    for (const { address, sample } of processes) if (sample) now.set(address, sample);
    const grown = [...now].flatMap(([address, sample]) => {
      const old = before?.get(address);
      return old ? [growth(old, sample)] : [];
    });
    before = now;
    return { now: merge([...now.values()]), grown: grown.length === 0 ? undefined : merge(grown) };
  };
}

/** Asks now and then, and answers at once with what it was told last. */
function watchStatus(ask: () => Promise<MongoDbStatus>): () => MongoDbStatus {
  let askedAt = Number.NEGATIVE_INFINITY;
  let told = untold;
  return () => {
    if (performance.now() - askedAt >= mongoDbIntervalMs) {
      askedAt = performance.now();
      ask().then(
        (status) => {
          told = status;
        },
        () => {
          told = untold;
        },
      );
    }
    return told;
  };
}
