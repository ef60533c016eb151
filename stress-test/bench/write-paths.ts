/**
 * What a request costs on each way that its writes can take, side by side in one run:
 *
 *   direct      five insertOne and five findOne, one after the other (WRITE_PATH=direct)
 *   single      through Pub/Sub, one request an envelope (ENVELOPE_WRITES_MAX=5)
 *   shared      through Pub/Sub, requests that arrive together share an envelope: as shipped
 *
 * Each round starts every part anew in each variant; the order alternates from round to round. Prints the
 * median of the rounds, requests/s as wrk counts them, latency, and CPU µs a request by process.
 *
 *   node stress-test/bench/write-paths.ts [rounds=3] [seconds=5] [connections=10,100,1000]
 */
import { styleText } from 'node:util';
import { request, until } from '../../test/requests.ts';
import { type System, startSystem } from '../../test/system.ts';
import { cpuTimeMs } from './cpu-time.ts';
import { runWrk } from './wrk.ts';

const variants = {
  direct: { WRITE_PATH: 'direct' },
  single: { ENVELOPE_WRITES_MAX: '5' },
  shared: {},
} as const;

type Variant = keyof typeof variants;

const [rounds = 3, seconds = 5] = process.argv.slice(2, 4).map(Number);
const connectionCounts = (process.argv[4] ?? '10,100,1000').split(',').map(Number);
const figures = new Map<string, number[][]>();
const columns = [
  'req/s',
  'p50 ms',
  'p99 ms',
  'failed',
  'stored/s',
  'api µs',
  'broker µs',
  'writer µs',
  'mongo µs',
];

for (let round = 0; round < rounds; round++) {
  const order = Object.keys(variants) as Variant[];
  if (round % 2 === 1) order.reverse();
  for (const variant of order) {
    const system = await startSystem(variants[variant]);
    try {
      await runWrk(`${system.api.url}/api/data`, { connections: 10, seconds: 1 });
      for (const connections of connectionCounts) {
        const row = await measure(system, connections);
        const key = `${variant} ${connections}`;
        figures.set(key, [...(figures.get(key) ?? []), row]);
        console.error(
          styleText('dim', `round ${round + 1} ${key}: ${row.map((figure) => figure.toFixed(1)).join(' ')}`),
        );
      }
    } finally {
      await system.stop();
    }
  }
}

console.log(`\nmedian of ${rounds} rounds of ${seconds} s\n`);
console.log(`| way | connections | ${columns.join(' | ')} |\n|---|--:|${columns.map(() => '--:|').join('')}`);
for (const connections of connectionCounts) {
  for (const variant of Object.keys(variants)) {
    const rows = figures.get(`${variant} ${connections}`) ?? [];
    const medians = columns.map((_, column) => median(rows.map((row) => row[column] ?? Number.NaN)));
    console.log(`| ${variant} | ${connections} | ${medians.map(readable).join(' | ')} |`);
  }
}

/** One load, and then the wait until all of it is stored, whose CPU time belongs to the requests as well. */
async function measure(system: System, connections: number): Promise<number[]> {
  const parts = [system.api, system.broker, system.writer, system.mongoDb];
  const cpuBefore = parts.map((part) => cpuTimeMs(part.pid()));
  const storedBefore = await storedWrites(system);
  const start = performance.now();
  const result = await runWrk(`${system.api.url}/api/data`, { connections, seconds });
  const accepted = result.requests - result.failed;
  const storedAtEnd = await storedWrites(system);
  const took = (performance.now() - start) / 1000;
  await until(
    () => backlogIsEmpty(system),
    (isEmpty) => isEmpty,
  );
  const cpu = parts.map(
    (part, index) => ((cpuTimeMs(part.pid()) - (cpuBefore[index] ?? 0)) * 1000) / accepted,
  );
  return [
    result.requestsPerSecond,
    result.p50Ms,
    result.p99Ms,
    result.failed,
    (storedAtEnd - storedBefore) / took,
    ...cpu,
  ];
}

async function storedWrites(system: System): Promise<number> {
  const metrics = await (await fetch(`${system.writer.url}/metrics`)).text();
  return Number(/^writer_writes_inserted_total (\d+)$/m.exec(metrics)?.[1] ?? 0);
}

/** The api counts what the broker confirmed and the writer what MongoDB inserted, both since their start. */
async function backlogIsEmpty(system: System): Promise<boolean> {
  const { body } = await request(`${system.api.url}/api/stats`);
  return (await storedWrites(system)) >= (body.accepted ?? 0);
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

function readable(figure: number): string {
  return figure.toLocaleString('en', { maximumFractionDigits: figure < 10 ? 1 : 0 });
}
