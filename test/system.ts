/** The whole system on free ports: MongoDB, the project's emulator, api and writer, each a process of its own. */
import {
  type Broker,
  type MongoDb,
  type NodeProcess,
  startApi,
  startEmulator,
  startMongoDb,
  startWriter,
} from './parts.ts';

export interface System {
  mongoDb: MongoDb;
  broker: Broker;
  api: NodeProcess;
  writer: NodeProcess;
  stop(): Promise<void>;
}

export async function startSystem(env: Record<string, string> = {}): Promise<System> {
  const [mongoDb, broker] = await Promise.all([startMongoDb(), startEmulator()]);
  const backends = { mongoDb, broker, env };
  const writer = await startWriter(backends);
  const dashboard = { WRITER_METRICS_HOST: new URL(writer.url).host };
  const api = await startApi({ ...backends, env: { ...dashboard, ...env } });
  return {
    mongoDb,
    broker,
    api,
    writer,
    async stop() {
      await Promise.all([api.stop(), writer.stop()]);
      await Promise.all([broker.stop(), mongoDb.stop()]);
    },
  };
}
