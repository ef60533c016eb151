/** What a row gets, and what rows share. */
import { cpuTimeMs } from '../../stress-test/bench/cpu-time.ts';
import type { Figures } from '../../stress-test/bench/figures.ts';
import { type Contender, type Server, start } from './contenders.ts';
import type { Scale } from './options.ts';
import { createRawClient, type RawClient } from './raw-client.ts';

export interface Run {
  contenders: readonly Contender[];
  scale: Scale;
  figures: Figures;
  /** Tells what is going on. */
  say(text: string): void;
}

/** One that runs, with its client, for all runs of a row. */
export interface Runner {
  contender: Contender;
  server: Server;
  client: RawClient;
}

/** Starts every contender, and ends it after `measure`. */
export async function withRunners(
  { contenders }: Run,
  measure: (runners: Runner[]) => Promise<void>,
): Promise<void> {
  const runners: Runner[] = [];
  try {
    for (const contender of contenders) {
      const server = await start(contender);
      runners.push({ contender, server, client: createRawClient(server.host) });
    }
    await measure(runners);
  } finally {
    for (const { client, server } of runners) {
      client.close();
      await server.stop();
    }
  }
}

const project = 'projects/bench';
let lastNumber = 0;

/** A topic and a subscription of their own, gone afterwards: some keep what was acked until then. */
export async function withTopic(
  client: RawClient,
  use: (names: { topic: string; subscription: string }) => Promise<void>,
): Promise<void> {
  const number = ++lastNumber;
  const topic = `${project}/topics/bench-${number}`;
  const subscription = `${project}/subscriptions/bench-${number}`;
  await client.createTopic(topic);
  await client.createSubscription(subscription, topic);
  await use({ topic, subscription });
  await client.deleteBoth(subscription, topic);
}

export interface Cost {
  /** Of the server, a message. */
  cpuMicros: number | undefined;
  messagesPerSecond: number;
}

/** Of the server, while `run` runs. */
export async function costOf(server: Server, count: number, run: () => Promise<void>): Promise<Cost> {
  const pid = server.pid();
  const cpuBefore = pid === undefined ? 0 : cpuTimeMs(pid);
  const start = performance.now();
  await run();
  const ms = performance.now() - start;
  const cpuMs = pid === undefined ? undefined : cpuTimeMs(pid) - cpuBefore;
  return {
    cpuMicros: cpuMs === undefined ? undefined : (cpuMs * 1_000) / count,
    messagesPerSecond: (count * 1_000) / ms,
  };
}
