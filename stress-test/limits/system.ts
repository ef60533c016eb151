/**
 * The system as its manifests bound it: every part in a cgroup with the memory of its pod, the emulator with its half a
 * core; all parts together on one CPU, and whoever loads them on another.
 */
import { readdirSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { type Cgroup, createCgroup } from '../../emulator/bench/cgroup.ts';
import {
  declarations,
  type NodeProcess,
  startApi,
  startEmulator,
  startMongoDb,
  startWriter,
} from '../../test/parts.ts';
import type { RunningProcess } from '../../test/process.ts';
import { cpuTimeMs } from '../bench/cpu-time.ts';
import { mebibyte, memoryBytesOrNone } from '../memory.ts';

/** As in k8s/api.yaml, k8s/writer.yaml, k8s/pubsub-emulator.yaml and k8s/mongodb/deployment.yaml. */
const memoryBytes = {
  api: 512 * mebibyte,
  writer: 256 * mebibyte,
  emulator: 256 * mebibyte,
  mongodb: 500 * mebibyte,
} as const;

const emulatorCores = 0.5;

const systemCpu = '0';
const loadCpu = '1';

export type PartName = keyof typeof memoryBytes;
export const partNames = Object.keys(memoryBytes) as PartName[];

export interface LimitedSystem {
  parts: Record<PartName, RunningProcess>;
  api: NodeProcess;
  writer: NodeProcess;
  brokerHost: string;
  mongoDbUri: string;
  /** Runs a load generator. */
  loadWrapper: readonly string[];
  /** Of each part, memory that is not a file's. */
  memory(): Record<PartName, number>;
  /** Of each part, open files and sockets. */
  handles(): Record<PartName, number>;
  /** Of all parts so far. */
  cpuMs(): Record<PartName, number>;
  /** Processes that were ended because their cgroup had no memory left. */
  oomKillCount(): number;
  /** Rejects with PartEnded when a part ends that was not stopped. */
  ended: Promise<never>;
  stop(): Promise<void>;
}

/** A part ended by itself or was killed: what is measured needs all of them, and none is started again. */
export class PartEnded extends Error {
  override name = 'PartEnded';
  readonly part: PartName;
  readonly oomKillCount: number;

  constructor(part: PartName, oomKillCount: number) {
    super(`${part} ended`);
    this.part = part;
    this.oomKillCount = oomKillCount;
  }
}

/** The connections of a process break before its end is told, and so does what was measured over them. */
const endToldMs = 1_000;

/**
 * Starts the system for `measure`, and stops it afterwards. After an error it is left as it is: this process ends then,
 * and with it all that it has started.
 * @throws PartEnded
 */
export async function measureSystem<Figures>(
  env: Record<string, string>,
  measure: (system: LimitedSystem) => Promise<Figures>,
): Promise<Figures> {
  const system = await startLimitedSystem(env);
  try {
    const figures = await Promise.race([measure(system), system.ended]);
    await system.stop();
    return figures;
  } catch (error) {
    await Promise.race([system.ended, pause(endToldMs)]);
    throw error;
  }
}

async function startLimitedSystem(env: Record<string, string>): Promise<LimitedSystem> {
  const cgroups = mapParts((name) =>
    createCgroup({
      name: `limits-${name}`,
      memoryBytes: memoryBytes[name],
      cores: name === 'emulator' ? emulatorCores : 1,
      cpus: systemCpu,
    }),
  );
  const load = createCgroup({ name: 'limits-load', memoryBytes: 4_096 * mebibyte, cores: 1, cpus: loadCpu });
  const wrapper = (cgroup: Cgroup) => ({ wrapper: cgroup.wrapper });
  const oomKillCount = () => partNames.reduce((sum, name) => sum + cgroups[name].oomKillCount(), 0);
  const { promise: ended, reject } = Promise.withResolvers<never>();
  // While the others start, nobody waits for it.
  ended.catch(() => {});
  const watch = async <Process extends RunningProcess>(name: PartName, starting: Promise<Process>) =>
    watchEnd(await starting, () => reject(new PartEnded(name, oomKillCount())));
  const [mongoDb, broker] = await Promise.all([
    watch('mongodb', startMongoDb(wrapper(cgroups.mongodb))),
    watch('emulator', startEmulator(JSON.stringify(declarations), wrapper(cgroups.emulator))),
  ]);
  const backends = { mongoDb, broker, env };
  const [api, writer] = await Promise.all([
    watch('api', startApi({ ...backends, ...wrapper(cgroups.api) })),
    watch('writer', startWriter({ ...backends, ...wrapper(cgroups.writer) })),
  ]);
  const parts = { api, writer, emulator: broker, mongodb: mongoDb };
  return {
    parts,
    api,
    writer,
    brokerHost: broker.host,
    mongoDbUri: mongoDb.uri,
    loadWrapper: load.wrapper,
    memory: () => mapParts((name) => memoryBytesOrNone(parts[name].pid(), 'RssAnon')),
    handles: () => mapParts((name) => readdirSync(`/proc/${parts[name].pid()}/fd`).length),
    cpuMs: () => mapParts((name) => cpuTimeMs(parts[name].pid())),
    oomKillCount,
    ended,
    async stop() {
      await Promise.all([api.stop(), writer.stop()]);
      await Promise.all([broker.stop(), mongoDb.stop()]);
      for (const cgroup of [...Object.values(cgroups), load]) cgroup.remove();
    },
  };
}

/** @param onEnd is called when the process ends without having been stopped. */
function watchEnd<Process extends RunningProcess>(running: Process, onEnd: () => void): Process {
  let isStopped = false;
  const watch = async () => {
    await running.exited();
    if (!isStopped) onEnd();
  };
  void watch();
  return {
    ...running,
    stop() {
      isStopped = true;
      return running.stop();
    },
    async restart(env) {
      await running.restart(env);
      isStopped = false;
      void watch();
    },
  };
}

export function mapParts<T>(map: (name: PartName) => T): Record<PartName, T> {
  return { api: map('api'), writer: map('writer'), emulator: map('emulator'), mongodb: map('mongodb') };
}
