/** Start to first publish: with an empty folder, and with a backlog that a kill -9 left behind. */

import { alternate } from '../../../stress-test/bench/alternate.ts';
import type { FigureKind } from '../../../stress-test/bench/figures.ts';
import { type Contender, ours } from '../contenders.ts';
import { untilPublished } from '../first-publish.ts';
import { createRawClient } from '../raw-client.ts';
import type { Run } from '../run.ts';

const topic = 'projects/bench/topics/start';
const kind: Omit<FigureKind, 'name'> = { row: 'start', unit: 'ms', better: 'lower', target: 500 };

export async function measureStart(run: Run): Promise<void> {
  const { contenders, scale, figures, say } = run;
  const starting = contenders.filter(({ canStart }) => canStart);
  await alternate(scale.starts, starting, async (contender, number) => {
    say(`start ${number + 1} of ${scale.starts}: ${contender.name}`);
    figures.add(
      { ...kind, name: 'start to first publish, empty' },
      contender.name,
      await startEmpty(contender),
    );
  });
  if (contenders.includes(ours)) await measureWithBacklog(run);
}

async function startEmpty(contender: Contender): Promise<number> {
  const { host, begin, ready } = await contender.launch();
  const ms = await untilPublished(host, topic, begin);
  await (await ready).stop();
  return ms;
}

async function measureWithBacklog({ scale, figures, say }: Run): Promise<void> {
  const { host, ready } = await ours.launch();
  const server = await ready;
  try {
    say(`a folder of ${scale.startBacklogCount.toLocaleString('en')} messages`);
    await fill(host, topic, scale.startBacklogCount);
    for (let number = 0; number < scale.starts; number++) {
      say(`start ${number + 1} of ${scale.starts} with a backlog`);
      await server.kill();
      const begin = performance.now();
      const [ms] = await Promise.all([untilPublished(host, topic, begin), server.restart()]);
      const name = `start to first publish, ${scale.startBacklogCount.toLocaleString('en')} unacked, after kill -9`;
      figures.add({ ...kind, name }, ours.name, ms);
    }
  } finally {
    await server.stop();
  }
}

/** Messages of 3,000 B that wait for a subscription of the topic's name. */
export async function fill(host: string, topic: string, count: number): Promise<void> {
  const client = createRawClient(host);
  await client.createTopic(topic);
  await client.createSubscription(topic.replace('/topics/', '/subscriptions/'), topic);
  await client.publish(topic, { count, perRequest: 1_000, bytes: 3_000 });
  client.close();
}
