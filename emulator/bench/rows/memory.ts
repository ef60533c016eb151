/** Anonymous memory against a backlog that nobody acks, 3,000-byte messages. Once: it is a course, not a sample. */

import { memoryBytes } from '../../../stress-test/memory.ts';
import { withPeakRssAnon } from '../rss-anon.ts';
import { type Run, type Runner, withRunners } from '../run.ts';

const row = 'memory' as const;
const bytes = 3_000;
const megabyte = 1_000_000;
/** In MB, whatever the backlog, which is on disk. */
const target = 150;

export async function measureMemory(run: Run): Promise<void> {
  await withRunners(run, async (runners) => {
    for (const runner of runners) await measure(run, runner);
  });
}

async function measure({ scale, figures, say }: Run, { contender, client, server }: Runner): Promise<void> {
  const { name, backlogMax = Number.POSITIVE_INFINITY } = contender;
  const pid = server.pid();
  if (pid === undefined) {
    figures.note(`${name}: memory and CPU are not known without its pid.`);
    return;
  }
  const topic = 'projects/bench/topics/backlog';
  const subscription = 'projects/bench/subscriptions/backlog';
  await client.createTopic(topic);
  await client.createSubscription(subscription, topic);
  let published = 0;
  for (const count of scale.backlogCounts) {
    if (count > backlogMax) {
      figures.note(
        `${name} keeps its backlog in memory and is left out over ${backlogMax.toLocaleString('en')}.`,
      );
      break;
    }
    say(`${count.toLocaleString('en')} unacked messages: ${name}`);
    const peak = await withPeakRssAnon(pid, () =>
      client.publish(topic, { count: count - published, perRequest: 1_000, bytes }),
    );
    published = count;
    const unit = 'MB';
    const what = `RssAnon after ${count.toLocaleString('en')} messages nobody acked`;
    figures.add(
      { row, name: what, unit, better: 'lower', target },
      name,
      memoryBytes(pid, 'RssAnon') / megabyte,
    );
    figures.add(
      { row, name: `peak up to ${count.toLocaleString('en')}`, unit, better: 'lower' },
      name,
      peak / megabyte,
    );
  }
  await client.deleteBoth(subscription, topic);
}
