/** What was confirmed, and is delivered after a kill -9 and a start. */
import { setTimeout as pause } from 'node:timers/promises';
import { type Contender, start } from '../contenders.ts';
import { untilPublished } from '../first-publish.ts';
import { createRawClient } from '../raw-client.ts';
import type { Run } from '../run.ts';

const topic = 'projects/bench/topics/restart';
const subscription = 'projects/bench/subscriptions/restart';
/** Nothing came for so long: nothing more will. */
const quietMs = 2_000;

export async function measureRestart({ contenders, scale, figures, say }: Run): Promise<void> {
  const count = scale.restartCount;
  for (const contender of contenders.filter(({ canStart }) => canStart)) {
    say(`restart: ${contender.name}`);
    const name = `of ${count.toLocaleString('en')} confirmed, there after kill -9`;
    const kept = await countKept(contender, count);
    figures.add(
      { row: 'restart', name, unit: 'messages', better: 'higher', target: count },
      contender.name,
      kept,
    );
  }
}

async function countKept(contender: Contender, count: number): Promise<number> {
  const server = await start(contender);
  try {
    const client = createRawClient(server.host);
    await client.createTopic(topic);
    await client.createSubscription(subscription, topic);
    await client.publish(topic, { count, perRequest: 100, bytes: 3_000 });
    client.close();
    await server.kill();
    await server.restart();
    await untilPublished(server.host, 'projects/bench/topics/another', performance.now());
    return await countDelivered(server.host);
  } finally {
    await server.stop();
  }
}

/** Different messages; none when the subscription is gone. */
async function countDelivered(host: string): Promise<number> {
  const client = createRawClient(host);
  const ids = new Set<string>();
  let latest = performance.now();
  const stream = client.receive(
    subscription,
    (received) => {
      latest = performance.now();
      for (const id of received) ids.add(id.toString());
    },
    () => {},
  );
  while (performance.now() - latest < quietMs) await pause(50);
  stream.cancel();
  client.close();
  return ids.size;
}
