/** The emulator in one process: broker, fronts and port. For tests: `createEmulator({ dataDir, port: 0 })`. */
import type { Durability } from './broker/broker.ts';
import { Broker } from './broker/broker.ts';
import { declare } from './declarations.ts';
import { createGrpcFront } from './grpc/server.ts';
import { createHttp } from './http.ts';
import { createMethods } from './methods/table.ts';
import { openPort } from './port.ts';
import { createPushFront } from './push/front.ts';
import { createRestFront } from './rest/front.ts';

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
  /** Told of a failure after which nothing can be confirmed any more: the process has to end. */
  onFatal?: (error: Error) => void;
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

/** @throws FolderInUse, DamagedFolder, or Error that names the port or the declaration. */
export async function createEmulator(options: EmulatorOptions): Promise<Emulator> {
  const warn = options.onWarning ?? ((message: string) => console.warn(message));
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
  const grpc = createGrpcFront(broker, methods);
  const rest = createRestFront(methods);
  const push = createPushFront(broker);
  const http = createHttp({ broker, rest, isReady: () => isServing });
  try {
    if (options.declarations) await declare(broker, options.declarations, options.project);
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

function fail(error: Error): never {
  console.error(`The data folder cannot be written: ${error.message}`);
  process.exit(1);
}
