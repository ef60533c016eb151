/** What a number of users needs. `npm run capacity -- --help` says how. */
import { readFileSync } from 'node:fs';
import { writesPerRequest } from '@assessment/api/envelope';
import { z } from 'zod';
import { exitCodes, runCommand } from '../../command-line/command.ts';
import { formatCount } from '../../command-line/count.ts';
import { BadUsage } from '../../command-line/flags.ts';
import { median } from '../bench/figures.ts';
import { type Capacity, type Costs, computeCapacity, type Demand, measuredCosts } from './capacity.ts';
import { type CapacityOptions, help, readOptions } from './options.ts';

const benchSchema = z.object({
  all: z.array(
    z.object({ row: z.string(), name: z.string(), values: z.record(z.string(), z.array(z.number())) }),
  ),
});

/** @throws BadUsage when it is no result of the bench, or one without the row `steady`. */
function readCosts(file: string): Costs {
  let figures: z.output<typeof benchSchema>['all'];
  try {
    figures = benchSchema.parse(JSON.parse(readFileSync(file, 'utf8'))).all;
  } catch (cause) {
    throw new BadUsage(`--bench: wants a bench.json: ${(cause as Error).message}`, { cause });
  }
  const costOf = (part: string) => {
    const figure = figures.find(({ row, name }) => row === 'steady' && name === `CPU a request, ${part}`);
    const cost = median(figure?.values.ours ?? []);
    if (cost > 0) return cost;
    throw new BadUsage(`--bench: wants a bench.json with the row steady; there is no CPU of ${part} in it`);
  };
  return {
    api: costOf('api'),
    broker: costOf('broker'),
    writer: costOf('writer'),
    mongoDb: costOf('MongoDB'),
  };
}

function format(demand: Demand, costs: Costs, capacity: Capacity): string {
  const { users, thinkSeconds, answerSeconds, loadSeconds } = demand;
  const rows: [string, string, string][] = [
    ['requests a second', readable(capacity.requestsPerSecond), 'users ÷ (think + answer)'],
    ['documents a second', readable(capacity.documentsPerSecond), `${writesPerRequest} a request`],
    ['api pods', readable(capacity.apiPods), 'of one core, 70 % of it used'],
    [
      'broker',
      `${readable(capacity.brokerCores)} cores`,
      capacity.isEmulatorEnough ? 'the emulator’s pod has it' : 'more than the emulator’s pod has: Pub/Sub',
    ],
    [
      'published, MB/s',
      readable(capacity.publishedBytesPerSecond / 1e6),
      `${readable(100 * capacity.pubsubQuotaShare)} % of Pub/Sub’s default in a small region`,
    ],
    ['writer pods', readable(capacity.writerPods), 'of half a core, for each MongoDB node'],
    ['one MongoDB node stores', readable(capacity.storedPerSecondMax), 'documents a second at most'],
    ['MongoDB nodes to keep up', readable(capacity.mongoDbNodes), 'each 70 % used'],
    [
      'stored, MB/s',
      readable(capacity.storedBytesPerSecond / 1e6),
      `by one node, before compression; its volume is full in ${readable(capacity.volumeSeconds / 60)} minutes`,
    ],
    [
      'backlog at the end',
      readable(capacity.backlogDocuments),
      `documents after ${readable(loadSeconds)} s, ${readable(capacity.backlogBytes / 1e9)} GB` +
        `${capacity.isBacklogHeld ? '' : ', more than the emulator’s volume: over it the api answers 503'}`,
    ],
    ['drained after, s', readable(capacity.drainSeconds), 'with no more load'],
  ];
  const head = `${formatCount(users)} users, ${thinkSeconds} s of think time, answers in ${answerSeconds} s`;
  const lines = rows.map(([what, value, note]) => `${what.padEnd(26)}${value.padStart(14)}   ${note}`);
  const { api, broker, writer, mongoDb } = costs;
  const told = `CPU a request: api ${readable(api)}, broker ${readable(broker)}, writer ${readable(writer)}, MongoDB ${readable(mongoDb)} µs`;
  return `${head}\n${told}\n\n${lines.join('\n')}\n`;
}

function readable(value: number): string {
  return value.toLocaleString(
    'en',
    value < 100 ? { maximumSignificantDigits: 2 } : { maximumFractionDigits: 0 },
  );
}

function printCapacity({ demand, benchFile, isJson }: CapacityOptions): number {
  const costs = benchFile === undefined ? measuredCosts : readCosts(benchFile);
  const capacity = computeCapacity(demand, costs);
  const json = () => `${JSON.stringify({ demand, costs, ...capacity })}\n`;
  process.stdout.write(isJson ? json() : format(demand, costs, capacity));
  return exitCodes.passed;
}

await runCommand({
  command: 'npm run capacity --',
  help,
  read: () => readOptions(process.argv.slice(2)),
  run: printCapacity,
});
