/**
 * Clients that send nearly all of a large body and stop: what they hold of the api's memory, what they are told, and
 * whether everybody else goes on reading and writing meanwhile.
 */
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { formatCount } from '../../command-line/count.ts';
import { showProgress } from '../../command-line/progress.ts';
import { createLatencies } from './latencies.ts';
import { readStored, type StoredFigures } from './stored.ts';
import { measureSystem, type PartName } from './system.ts';
import { untilDrained, watchMemory } from './watch.ts';

export interface SlowBodiesFigures extends StoredFigures {
  clients: number;
  sentBytes: number;
  declaredBytes: number;
  ended: Ended;
  before: Record<PartName, number>;
  peakBytes: Record<PartName, number>;
  /** GET /api/data and POST /api/records of others meanwhile. */
  reads: Others;
  records: Others;
}

/** How the requests of the slow clients ended. */
interface Ended {
  /** 503 with Retry-After. */
  refused: number;
  /** 408, or no answer: their time was over. */
  late: number;
  /** Any other answer. */
  other: number;
}

interface Others {
  answered: number;
  failed: number;
  p50Ms: number;
  p99Ms: number;
  ids: string[];
}

const declaredBytes = 262_144;
const sentBytes = 262_000;

/** A body is given 30 s (requestMs of api/src/server.ts), and somewhat more is watched. */
const watchedMs = 35_000;

const othersIntervalMs = 50;

const recordBytes = 100_000;

export async function measureSlowBodies({ clients }: { clients: number }): Promise<SlowBodiesFigures> {
  return measureSystem({}, async (system) => {
    const { url } = system.api;
    await useOthers(url, AbortSignal.timeout(2_000));
    const before = system.memory();
    const memory = watchMemory(system);
    const watched = AbortSignal.timeout(watchedMs);
    const others = useOthers(url, watched);
    const ended: Ended = { refused: 0, late: 0, other: 0 };
    const sending = sendBodies(url, clients, ended);
    const { reads, records } = await others;
    await sending;
    memory.stop();
    await untilDrained(system);
    return {
      ...{ clients, sentBytes, declaredBytes, ended, before, reads, records },
      peakBytes: memory.peaks(),
      ...(await readStored(system, [...reads.ids, ...records.ids])),
    };
  });
}

/** Resolves when all of their connections have ended. */
async function sendBodies(url: string, clients: number, ended: Ended): Promise<void> {
  const head =
    'POST /api/records HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n' +
    `Content-Length: ${declaredBytes}\r\n\r\n`;
  const bytes = Buffer.from(`${head}{"text":"`.padEnd(head.length + sentBytes, 'x'));
  const closed: Promise<void>[] = [];
  for (let client = 0; client < clients; client++) {
    const socket = connect({ host: new URL(url).hostname, port: Number(new URL(url).port) });
    const { promise, resolve } = Promise.withResolvers<void>();
    closed.push(promise);
    let answer = '';
    // Refused, it gives up: what it did not send yet would be read by nobody.
    socket.on('data', (piece) => {
      answer += piece;
      socket.destroy();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      count(ended, answer);
      resolve();
    });
    if (!socket.write(bytes)) await Promise.race([once(socket, 'drain'), promise]);
    showProgress(`${formatCount(client)} of ${formatCount(clients)} bodies sent`, client / clients);
  }
  await Promise.all(closed);
}

function count(ended: Ended, answer: string): void {
  if (/^HTTP\/1\.1 503 [\s\S]*\r\nRetry-After: \d/.test(answer)) ended.refused++;
  else if (answer === '' || answer.startsWith('HTTP/1.1 408')) ended.late++;
  else ended.other++;
}

/** Two clients like any other: one reads and writes by GET /api/data, the other writes records of its own. */
async function useOthers(url: string, signal: AbortSignal): Promise<{ reads: Others; records: Others }> {
  const record = JSON.stringify({ text: 'y'.repeat(recordBytes) });
  const post = { method: 'POST', headers: { 'content-type': 'application/json' }, body: record };
  const [reads, records] = await Promise.all([
    useAlone(`${url}/api/data`, {}, 200, signal),
    useAlone(`${url}/api/records`, post, 202, signal),
  ]);
  return { reads, records };
}

async function useAlone(
  url: string,
  init: RequestInit,
  wanted: number,
  signal: AbortSignal,
): Promise<Others> {
  const latencies = createLatencies();
  const others = { answered: 0, failed: 0, ids: [] as string[] };
  while (!signal.aborted) {
    const start = performance.now();
    try {
      const response = await fetch(url, init);
      const body = (await response.json()) as { writes?: string[]; ids?: string[] };
      if (response.status === wanted) {
        others.answered++;
        others.ids.push(...(body.writes ?? body.ids ?? []));
      } else others.failed++;
    } catch {
      others.failed++;
    }
    latencies.add(performance.now() - start);
    await pause(othersIntervalMs);
  }
  const { p50, p99 } = latencies.summary();
  return { ...others, p50Ms: p50, p99Ms: p99 };
}
