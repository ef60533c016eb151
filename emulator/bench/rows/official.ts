/** The official client, 3,000-byte messages, 1,000 a publish: the server's CPU a message, and rates. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { alternate } from '../../../stress-test/bench/alternate.ts';
import type { FigureKind } from '../../../stress-test/bench/figures.ts';
import type { Order, Outcome } from '../official-client.ts';
import { type Cost, costOf, type Run, type Runner, withRunners, withTopic } from '../run.ts';

const bytes = 3_000;
const row = 'official' as const;
const kinds = {
  publishCpu: { name: 'server CPU a published message', unit: 'µs', better: 'lower', target: 12 },
  deliverCpu: { name: 'server CPU a delivered and acked message', unit: 'µs', better: 'lower', target: 15 },
  publishRate: { name: 'publish rate, one client process', unit: '/s', better: 'higher', target: 40_000 },
  deliverRate: { name: 'delivery rate, one client process', unit: '/s', better: 'higher', target: 25_000 },
} satisfies Record<string, Omit<FigureKind, 'row'>>;

interface Driven extends Runner {
  child: ChildProcess;
}

export async function measureOfficial(run: Run): Promise<void> {
  const { scale, figures, say } = run;
  await withRunners(run, async (runners) => {
    const driven = runners.map((runner) => ({ ...runner, child: forkClient(runner.server.host) }));
    try {
      // The first run warms the servers and the clients, and is not kept.
      await alternate(scale.runs + 1, driven, async (one, number) => {
        const { name } = one.contender;
        say(`official client, run ${number} of ${scale.runs}: ${name}`);
        const { published, delivered } = await measure(one, scale.officialCount);
        if (number === 0) return;
        note('publish', published);
        note('deliver', delivered);

        function note(which: 'publish' | 'deliver', cost: Cost): void {
          figures.add({ row, ...kinds[`${which}Rate`] }, name, cost.messagesPerSecond);
          if (cost.cpuMicros !== undefined)
            figures.add({ row, ...kinds[`${which}Cpu`] }, name, cost.cpuMicros);
        }
      });
    } finally {
      for (const { child } of driven) child.kill();
    }
  });
}

async function measure(driven: Driven, count: number) {
  const costs: Cost[] = [];
  await withTopic(driven.client, async ({ topic, subscription }) => {
    costs.push(await costOfOrder(driven, { kind: 'publish', name: topic, count, bytes }));
    costs.push(await costOfOrder(driven, { kind: 'deliver', name: subscription, count, bytes }));
  });
  const [published, delivered] = costs as [Cost, Cost];
  return { published, delivered };
}

/** The time is the client's, without its end; the CPU is that of all. */
async function costOfOrder({ server, child }: Driven, order: Order): Promise<Cost> {
  let clientMs = 0;
  const cost = await costOf(server, order.count, async () => {
    clientMs = (await ask(child, order)).ms;
  });
  return { ...cost, messagesPerSecond: (order.count * 1_000) / clientMs };
}

function forkClient(host: string): ChildProcess {
  return fork(join(import.meta.dirname, '../official-client.ts'), {
    env: { ...process.env, PUBSUB_EMULATOR_HOST: host, METADATA_SERVER_DETECTION: 'none' },
  });
}

async function ask(child: ChildProcess, order: Order): Promise<Outcome> {
  const ended = new AbortController();
  const onExit = () => ended.abort(new Error(`the official client ended during ${order.kind}`));
  child.once('exit', onExit);
  try {
    child.send(order);
    const [outcome] = (await once(child, 'message', { signal: ended.signal })) as [Outcome];
    return outcome;
  } finally {
    child.off('exit', onExit);
  }
}
