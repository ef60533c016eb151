/**
 * Inside 256 MiB and half a core: what goes through with an empty backlog and with a large one, in alternation, and the
 * start. Each has a process and a cgroup of its own; the one that is not asked is idle.
 *
 * The backlog stays as it is while it is measured: a batch is published for every batch that was delivered and acked.
 */
import { statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { alternate } from '../../../stress-test/bench/alternate.ts';
import type { FigureKind } from '../../../stress-test/bench/figures.ts';
import { type Cgroup, createCgroup, whyNoCgroup } from '../cgroup.ts';
import { ours, type Server } from '../contenders.ts';
import { untilPublished } from '../first-publish.ts';
import { createRawClient, type RawClient } from '../raw-client.ts';
import type { Run } from '../run.ts';
import { fill } from './start.ts';

const topic = 'projects/bench/topics/limits';
const subscription = 'projects/bench/subscriptions/limits';
const memoryBytes = 256 * 1024 * 1024;
const cores = 0.5;
const bytes = 3_000;
const perRequest = 1_000;
/** Published and not yet delivered while it is measured, beside the backlog. */
const windowCount = 10_000;
const warmMs = 1_000;
/** What the log and the system need beside the messages. */
const folderBytesFactor = 1.2;

interface Limited {
  name: string;
  backlogCount: number;
  server: Server;
  cgroup: Cgroup;
  client: RawClient;
}

export async function measureLimits(run: Run): Promise<void> {
  const { scale, figures, say } = run;
  const why = whyNoCgroup() ?? (await whyNoRoom(scale.startBacklogCount));
  if (why) {
    figures.note(`limits: ${why}`);
    return;
  }
  const backlogCount = scale.startBacklogCount;
  const both: Limited[] = [];
  try {
    both.push(await startLimited('empty', 0));
    say(`256 MiB, half a core: a folder of ${backlogCount.toLocaleString('en')} messages`);
    both.push(await startLimited('full', backlogCount));
    const rates = new Map<Limited, number[]>(both.map((one) => [one, []]));
    await alternate(scale.runs, both, async (one, number) => {
      say(`256 MiB, half a core, ${one.name} backlog, run ${number + 1} of ${scale.runs}`);
      rates.get(one)?.push(await rateOf(one, scale.limitsSeconds));
    });
    noteRates(run, both, rates);
    await noteStarts(run, both);
    noteMemory(run, both);
  } finally {
    for (const { client, server, cgroup } of both) {
      client.close();
      await server.stop();
      cgroup.remove();
    }
  }
}

async function whyNoRoom(count: number): Promise<string | undefined> {
  const { bavail, bsize } = await statfs(tmpdir());
  const wanted = count * bytes * folderBytesFactor;
  if (bavail * bsize >= wanted) return undefined;
  return `needs ${Math.ceil(wanted / 1e9)} GB in ${tmpdir()}, where ${Math.floor((bavail * bsize) / 1e9)} are free`;
}

async function startLimited(name: string, backlogCount: number): Promise<Limited> {
  const cgroup = createCgroup({ name: `bench-emulator-${name}`, memoryBytes, cores });
  const { host, ready } = await ours.launch(cgroup.wrapper);
  const server = await ready;
  await fill(host, topic, backlogCount);
  return { name, backlogCount, server, cgroup, client: createRawClient(host) };
}

/** Messages a second that are published, delivered and acked. */
async function rateOf({ client }: Limited, seconds: number): Promise<number> {
  const failed = Promise.withResolvers<never>();
  const underWay = new Set<Promise<void>>();
  let delivered = 0;
  let allowed = windowCount;
  let isOver = false;
  const publish = () => {
    for (; allowed >= perRequest && !isOver; allowed -= perRequest) {
      const request = client.publish(topic, { count: perRequest, perRequest, bytes, underWay: 1 });
      underWay.add(request);
      request.then(() => underWay.delete(request), failed.reject);
    }
  };
  const stream = client.receive(
    subscription,
    ({ length }) => {
      delivered += length;
      allowed += length;
      publish();
    },
    failed.reject,
  );
  publish();
  try {
    await Promise.race([pause(warmMs), failed.promise]);
    const [before, start] = [delivered, performance.now()];
    await Promise.race([pause(seconds * 1_000), failed.promise]);
    return ((delivered - before) * 1_000) / (performance.now() - start);
  } finally {
    isOver = true;
    await Promise.allSettled(underWay);
    stream.cancel();
  }
}

const row = 'limits' as const;

function noteRates({ figures }: Run, both: Limited[], rates: Map<Limited, number[]>): void {
  for (const one of both) {
    const name = `published, delivered and acked, ${backlogText(one)}`;
    for (const rate of rates.get(one) ?? [])
      figures.add({ row, name, unit: '/s', better: 'higher' }, ours.name, rate);
  }
  const [empty = [], full = []] = both.map((one) => rates.get(one) ?? []);
  const kind: FigureKind = {
    row,
    name: 'rate with that backlog, of that with none',
    unit: '×',
    better: 'higher',
    target: 0.5,
  };
  for (const [run, rate] of full.entries()) figures.add(kind, ours.name, rate / (empty[run] ?? Number.NaN));
}

async function noteStarts({ figures, scale, say }: Run, both: Limited[]): Promise<void> {
  await alternate(scale.starts, both, async (one, number) => {
    say(`256 MiB, half a core, ${one.name} backlog, start ${number + 1} of ${scale.starts}`);
    await one.server.kill();
    const begin = performance.now();
    const [ms] = await Promise.all([untilPublished(one.server.host, topic, begin), one.server.restart()]);
    const name = `start to first publish, ${backlogText(one)}`;
    figures.add({ row, name, unit: 'ms', better: 'lower', target: 500 }, ours.name, ms);
  });
}

function noteMemory({ figures }: Run, both: Limited[]): void {
  for (const one of both) {
    const { cgroup } = one;
    const name = `peak of the group with the page cache, ${backlogText(one)}`;
    const peak: FigureKind = { row, name, unit: 'MB', better: 'lower' };
    figures.add(peak, ours.name, cgroup.peakBytes() / 1e6);
    const killed: FigureKind = {
      row,
      name: `processes ended for want of memory, ${backlogText(one)}`,
      unit: '',
      better: 'lower',
      target: 0,
    };
    figures.add(killed, ours.name, cgroup.oomKillCount());
  }
}

function backlogText({ backlogCount }: Limited): string {
  return backlogCount === 0 ? 'empty backlog' : `backlog of ${backlogCount.toLocaleString('en')}`;
}
