/** The emulator in one process: broker, fronts and port. For tests: `createEmulator({ dataDir, port: 0 })`. */
import { Broker, type Durability } from './broker/broker.ts';
import { createCors } from './cors.ts';
import { declare } from './declarations.ts';
import { Faults } from './faults.ts';
import { createGrpcFront, streamingPullPath } from './grpc/server.ts';
import { createHttp } from './http.ts';
import { log } from './log.ts';
import { createMethods } from './methods/table.ts';
import { openPort } from './port.ts';
import { createPushFront } from './push/front.ts';
import { createRestFront } from './rest/front.ts';
import { createTestEndpoints } from './test-endpoints.ts';

export interface EmulatorOptions {
  dataDir: string;
  host?: string;
  /** 0: one that is free. */
  port?: number;
  /** The only project served; undefined: any. */
  project?: string | undefined;
  /** JSON, or the path of a file with it (declarations.ts). */
  declarations?: string | undefined;
  durability?: Durability;
  dataBytesMax?: number | undefined;
  /** Allows reset and fault injection over HTTP (test-endpoints.ts); without it they answer 403. */
  hasTestEndpoints?: boolean;
  /** Of web pages that may call it, beside those of this machine; `*` is any (cors.ts). */
  corsOrigins?: readonly string[];
  /** Told of a failure after which nothing can be confirmed any more: the process has to end. */
  onFatal?: (error: Error) => void;
  /** For tests: how often it looks whether a client is still there (grpc/connections.ts). */
  connectionCheckMs?: number;
  onWarning?: (message: string) => void;
}

export interface Emulator {
  host: string;
  port: number;
  broker: Broker;
  /** Refuses new work with UNAVAILABLE, answers what it holds, and closes the folder. */
  close(): Promise<void>;
}

/** Calls under way have this long when it closes. */
const graceMs = 3_000;
/** 10 GiB: a disk that fills up silently is worse than a refusal; --data-bytes-max raises it. */
const dataBytesMaxDefault = 10 * 1024 * 1024 * 1024;

/** @throws FolderInUse, DamagedFolder, or Error that names the folder, the port or the declaration. */
export async function createEmulator(options: EmulatorOptions): Promise<Emulator> {
  const warn = options.onWarning ?? ((message: string) => log('warn', message));
  const broker = await Broker.open({
    folder: options.dataDir,
    durability: options.durability ?? 'disk',
    folderBytesMax: options.dataBytesMax ?? dataBytesMaxDefault,
    project: options.project,
    onWarning: warn,
    onFatal: options.onFatal ?? fail,
  });
  let isServing = false;
  const methods = createMethods(broker);
  const faults = new Faults([...methods.keys(), streamingPullPath]);
  const grpc = createGrpcFront({ broker, methods, faults, checkIntervalMs: options.connectionCheckMs });
  const rest = createRestFront(methods, faults);
  const push = createPushFront(broker);
  const declareAll = async () => {
    if (options.declarations) await declare(broker, options.declarations, options.project);
  };
  const reset = oneAtATime(async () => {
    faults.clear();
    await broker.reset(declareAll);
  });
  const isEnabled = options.hasTestEndpoints ?? false;
  const testEndpoints = createTestEndpoints({ isEnabled, faults, reset });
  const cors = createCors(options.corsOrigins ?? []);
  const http = createHttp({ broker, rest, cors, testEndpoints, isReady: () => isServing });
  try {
    await declareAll();
    const { host = '127.0.0.1', port: wanted = 0 } = options;
    const port = await openPort({ host, port: wanted, http, onHttp2: (socket) => grpc.connect(socket) });
    isServing = true;
    return {
      host: port.host,
      port: port.port,
      broker,
      async close() {
        isServing = false;
        port.close();
        grpc.drain();
        rest.drain();
        broker.endStreams();
        await Promise.all([grpc.close(graceMs), rest.close(graceMs), push.close(graceMs)]);
        http.close();
        http.closeAllConnections();
        await broker.close();
      },
    };
  } catch (error) {
    await Promise.all([grpc.close(0), push.close(0)]);
    await broker.close();
    throw error;
  }
}

/** Of two resets at once the second begins when the first has declared all that it deleted. */
function oneAtATime(run: () => Promise<void>): () => Promise<void> {
  let last = Promise.resolve();
  return () => {
    last = last.then(run, run);
    return last;
  };
}

function fail(error: Error): never {
  log('error', `The data folder cannot be written: ${error.message}`);
  process.exit(1);
}
