/**
 * The ids that a load saw confirmed, one line a request: `confirmed <id> <id> <id> <id> <id>`, after one
 * line `begin <time>`, or `begin <time> keyed` for a load with idempotency keys. k6 writes other lines between them
 * (VERBOSE); they are passed over.
 */
import { once } from 'node:events';
import { createReadStream, createWriteStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { finished } from 'node:stream/promises';
import { writesPerRequest } from '@assessment/api/envelope';
import { NotJudged } from './run.ts';

const confirmedLine = new RegExp(`^confirmed( [0-9a-f]{24}){${writesPerRequest}}$`);

/** At the end of the line `begin`. */
const keyedMark = ' keyed';

/** Whether this is what a request has for ids, so that it can be written down. */
export function areIdsOfRequest(writes: unknown): writes is string[] {
  return Array.isArray(writes) && confirmedLine.test(`confirmed ${writes.join(' ')}`);
}

export interface IdsWriter {
  /** Resolves when the file takes more, so that a slow disk slows the load down and fills no memory. */
  add(ids: string[]): Promise<void>;
  /** Resolves when all of it is in the file. */
  close(): Promise<void>;
}

/** Begins a new file; its methods throw NotJudged too. @throws NotJudged when it cannot be written. */
export async function createIdsFile(
  file: string,
  beganAt: Date,
  { isKeyed }: { isKeyed: boolean },
): Promise<IdsWriter> {
  const stream = createWriteStream(file);
  await once(stream, 'open').catch((error: Error) => {
    throw new NotJudged(`${file} cannot be written: ${error.message}`);
  });
  let failure: Error | undefined;
  let drained: Promise<unknown> | undefined;
  stream.on('error', (error) => {
    failure = new NotJudged(`${file} cannot be written: ${error.message}`);
  });
  stream.write(`begin ${beganAt.toISOString()}${isKeyed ? keyedMark : ''}\n`);
  return {
    async add(ids) {
      const isFull = !stream.write(`confirmed ${ids.join(' ')}\n`);
      if (isFull && !failure) {
        drained ??= once(stream, 'drain').catch(() => {});
        await drained;
        drained = undefined;
      }
      if (failure) throw failure;
    },
    async close() {
      stream.end();
      await finished(stream).catch(() => {});
      if (failure) throw failure;
    },
  };
}

export interface IdsFileContent {
  beganAt: Date;
  /** Whether the ids are of idempotency keys. */
  isKeyed: boolean;
  /** Requests with their ids. */
  recorded: number;
  /** The newest second, in Unix time, in which one of the ids was made; 0 without ids, and of ids of keys. */
  lastSecond: number;
}

/** The second, in Unix time, in which an id was made by its maker's clock. */
export function secondOf(id: string): number {
  return Number.parseInt(id.slice(0, 8), 16);
}

/** @throws NotJudged for a file that is not what one recorded run leaves. */
export async function inspectIdsFile(file: string): Promise<IdsFileContent> {
  let beganAt: Date | undefined;
  let isKeyed = false;
  let recorded = 0;
  let lastSecond = 0;
  let lineNumber = 0;
  for await (const line of readLines(file)) {
    lineNumber++;
    if (line.startsWith('begin ')) {
      if (beganAt) throw new NotJudged(`${file} holds more than one run, as k6 appends: use a new file`);
      isKeyed = line.endsWith(keyedMark);
      beganAt = new Date(line.slice('begin '.length, isKeyed ? -keyedMark.length : undefined));
    } else if (line.startsWith('confirmed')) {
      if (!confirmedLine.test(line)) {
        throw new NotJudged(`${file}:${lineNumber}: wants "confirmed" and ${writesPerRequest} ids`);
      }
      recorded++;
      if (!isKeyed) lastSecond = Math.max(lastSecond, secondOf(line.slice('confirmed '.length)));
    }
  }
  if (!beganAt || Number.isNaN(beganAt.getTime())) {
    throw new NotJudged(`${file}: wants a line "begin" with a time, as a run with RECORD=true writes it`);
  }
  return { beganAt, isKeyed, recorded, lastSecond };
}

/** The ids in the order of their confirmation, in batches of `batchSize` or a little more. */
export async function* readIds(file: string, batchSize: number): AsyncGenerator<string[], void> {
  let batch: string[] = [];
  for await (const line of readLines(file)) {
    if (!confirmedLine.test(line)) continue;
    batch.push(...line.split(' ').slice(1));
    if (batch.length < batchSize) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

async function* readLines(file: string): AsyncGenerator<string, void> {
  const stream = createReadStream(file);
  await once(stream, 'open').catch((error: Error) => {
    throw new NotJudged(`${file} cannot be read: ${error.message}`);
  });
  yield* createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY });
}
