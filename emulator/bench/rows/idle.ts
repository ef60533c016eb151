/** CPU of a server that nobody asks anything: without streams, and with ten that wait. */
import { setTimeout as pause } from 'node:timers/promises';
import { cpuTimeMs } from '../../../stress-test/bench/cpu-time.ts';
import type { FigureKind } from '../../../stress-test/bench/figures.ts';
import { type Run, type Runner, withRunners } from '../run.ts';

const streamCount = 10;
/** What the start left to do, and a JVM's compiler, are over. */
const settleMs = 3_000;
/** Google's emulator uses 0.13 % and 1.6 %. */
const kinds = {
  without: { row: 'idle', name: 'idle, of a core', unit: '%', better: 'lower', target: 0.13 },
  withStreams: {
    row: 'idle',
    name: 'idle with ten streams, of a core',
    unit: '%',
    better: 'lower',
    target: 1.6,
  },
} satisfies Record<string, FigureKind>;

/** All at the same time: idle ones do not disturb each other. */
export async function measureIdle(run: Run): Promise<void> {
  const { say } = run;
  await withRunners(run, async (runners) => {
    const known = runners.filter(({ server }) => server.pid() !== undefined);
    say('idle');
    await pause(settleMs);
    await Promise.all(known.map((runner) => note(run, runner, kinds.without)));
    say('idle with ten streams');
    await Promise.all(known.map((runner) => measureStreams(run, runner)));
  });
}

async function measureStreams(run: Run, runner: Runner): Promise<void> {
  const { client } = runner;
  const topic = 'projects/bench/topics/idle';
  const subscription = 'projects/bench/subscriptions/idle';
  await client.createTopic(topic);
  await client.createSubscription(subscription, topic);
  const failed = Promise.withResolvers<never>();
  const streams = Array.from({ length: streamCount }, () =>
    client.receive(subscription, () => {}, failed.reject),
  );
  await pause(settleMs);
  await Promise.race([note(run, runner, kinds.withStreams), failed.promise]);
  for (const stream of streams) stream.cancel();
  await client.deleteBoth(subscription, topic);
}

async function note({ scale, figures }: Run, { contender, server }: Runner, kind: FigureKind): Promise<void> {
  const pid = server.pid() ?? 0;
  const before = cpuTimeMs(pid);
  await pause(scale.idleSeconds * 1_000);
  const cpuMs = cpuTimeMs(pid) - before;
  figures.add(kind, contender.name, cpuMs / (scale.idleSeconds * 10));
}
