/** CPU and rates at several sizes of a publish and of a message, with a raw client. */

import { alternate } from '../../../stress-test/bench/alternate.ts';
import type { FigureKind } from '../../../stress-test/bench/figures.ts';
import { type Cost, costOf, type Run, withRunners, withTopic } from '../run.ts';

const row = 'batches' as const;
const sizes = [300, 3_000, 100_000];
const batches = [1_000, 100, 10, 1];
/** A publish of more is refused: https://docs.cloud.google.com/pubsub/quotas#resource_limits. */
const publishBytesMax = 10_000_000;

export async function measureBatches(run: Run): Promise<void> {
  const { scale, figures, say } = run;
  const cells = sizes.flatMap((bytes) =>
    batches.filter((batch) => batch * bytes < publishBytesMax).map((perRequest) => ({ bytes, perRequest })),
  );
  await withRunners(run, async (runners) => {
    for (const runner of runners) {
      say(`warming ${runner.contender.name}`);
      await measure(runner, { bytes: 3_000, perRequest: 100, count: Math.min(20_000, scale.cellCalls * 10) });
    }
    for (const { bytes, perRequest } of cells) {
      const calls = Math.min(scale.cellCalls, scale.cellBytes / (bytes * perRequest));
      const count = Math.max(4, Math.ceil(calls)) * perRequest;
      await alternate(scale.runs, runners, async (runner, number) => {
        const { name } = runner.contender;
        say(`${perRequest} × ${bytes} B a publish, run ${number + 1} of ${scale.runs}: ${name}`);
        const costs = await measure(runner, { bytes, perRequest, count });
        for (const [kind, value] of figuresOf(bytes, perRequest, costs)) figures.add(kind, name, value);
      });
    }
  });
}

async function measure(
  { client, server }: Parameters<Parameters<typeof withRunners>[1]>[0][number],
  plan: { bytes: number; perRequest: number; count: number },
): Promise<{ published: Cost; delivered: Cost }> {
  const costs: Cost[] = [];
  await withTopic(client, async ({ topic, subscription }) => {
    costs.push(await costOf(server, plan.count, () => client.publish(topic, plan)));
    costs.push(await costOf(server, plan.count, () => client.deliver(subscription, plan.count)));
  });
  const [published, delivered] = costs as [Cost, Cost];
  return { published, delivered };
}

function figuresOf(
  bytes: number,
  perRequest: number,
  { published, delivered }: { published: Cost; delivered: Cost },
): [FigureKind, number][] {
  const what = `${perRequest.toLocaleString('en')} × ${bytes.toLocaleString('en')} B`;
  return [
    ...figuresOfCost(`published, ${what}`, published),
    ...figuresOfCost(`delivered and acked, ${what}`, delivered),
  ];
}

function figuresOfCost(what: string, { cpuMicros, messagesPerSecond }: Cost): [FigureKind, number][] {
  const rate: FigureKind = { row, name: what, unit: '/s', better: 'higher' };
  if (cpuMicros === undefined) return [[rate, messagesPerSecond]];
  return [
    [{ row, name: `CPU, ${what}`, unit: 'µs', better: 'lower' }, cpuMicros],
    [rate, messagesPerSecond],
  ];
}
