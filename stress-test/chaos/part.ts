/**
 * A process of the system that a fault may end and start again: `up` → `down` (by a fault) → `up`. When it ends by
 * itself that counts as a death, and it is started again at once, as Kubernetes would.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { ProcessOptions, RunningProcess } from '../../test/process.ts';
import { memoryBytesOrNone } from '../memory.ts';

export type PartName = 'api' | 'writer' | 'emulator' | 'mongodb';

export interface Part {
  readonly name: PartName;
  pause(): void;
  resume(): void;
  /** SIGKILL, and down. */
  kill(): Promise<void>;
  /** SIGTERM, and down. */
  stop(): Promise<void>;
  /** Up, with `env` on top until it is down again. */
  start(env?: ProcessOptions['env']): Promise<void>;
  output(): string;
  /** How often it ended by itself, with the last lines that it wrote. */
  deaths(): readonly string[];
  /** The most memory seen since the last call. */
  takePeakBytes(): number;
  close(): Promise<void>;
}

const sampleIntervalMs = 200;
const restartPauseMs = 250;
const lastCharacters = 1_000;

export function createPart(name: PartName, running: RunningProcess): Part {
  let isUp = true;
  let isClosing = false;
  let peakBytes = 0;
  const deaths: string[] = [];
  const sampling = setInterval(sample, sampleIntervalMs);
  void keepUp();

  function sample(): void {
    peakBytes = Math.max(peakBytes, memoryBytesOrNone(running.pid(), 'VmRSS'));
  }

  async function keepUp(): Promise<void> {
    await running.exited();
    if (!isUp || isClosing) return;
    deaths.push(running.output().slice(-lastCharacters));
    while (isUp && !isClosing) {
      try {
        await running.restart();
        void keepUp();
        return;
      } catch {
        await pause(restartPauseMs);
      }
    }
  }

  return {
    name,
    pause: running.pause,
    resume: running.resume,
    output: running.output,
    deaths: () => deaths,
    async kill() {
      isUp = false;
      sample();
      await running.kill();
    },
    async stop() {
      isUp = false;
      sample();
      await running.stop();
    },
    async start(env) {
      await running.restart(env);
      isUp = true;
      void keepUp();
    },
    takePeakBytes() {
      sample();
      const taken = peakBytes;
      peakBytes = 0;
      return taken;
    },
    async close() {
      isClosing = true;
      clearInterval(sampling);
      await running.stop();
    },
  };
}
