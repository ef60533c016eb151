/**
 * The audit's own load: `connections` clients, each with one request at a time and no think time, every
 * confirmed id written down as it arrives.
 *
 * Unlike Go's HTTP client, and so unlike k6, it never repeats a request by itself. With `keys` it repeats on purpose:
 * each request has an `Idempotency-Key` of its own and is sent with it until it is confirmed, whatever went wrong before.
 * When the load is over, what is still unconfirmed is repeated for up to `repeatMsMax`. So every request ends confirmed,
 * and the documents of the run are exactly 5 for each key.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { type ApiClient, createApiClient, type Reply } from './api-client.ts';
import { createIdsFile, type IdsWriter, secondOf } from './ids-file.ts';
import type { KeyedOutcomes, Run } from './run.ts';

export interface LoadOptions {
  baseUrl: string;
  connections: number;
  durationMs: number;
  idsFile: string;
  /** The api's bearer token, where it wants one. */
  token?: string | undefined;
  /** Ends the load early; what is under way is still answered. */
  signal: AbortSignal;
  /** Between a confirmation and the next request of its client; none without. */
  thinkTimeMs?: number;
  /** Repeats each request with a key of its own until it is confirmed. */
  keys?: KeyOptions | undefined;
  /** Told of the run so far, about four times a second. */
  onProgress?: (run: Run, elapsedMs: number) => void;
  /** Told of each confirmed request: its ids, and when it was sent, by `performance.now()`. */
  onConfirmed?: (ids: string[], sentAtMs: number) => void;
}

interface KeyOptions {
  /**
   * More base URLs that each try of a request goes to at the same moment, such as that of a second api process. A try is
   * confirmed when all of its answers are confirmations. None without.
   */
  alsoTo?: () => readonly string[];
}

/** After anything but a confirmation, so that an api that is away is asked and not hammered. */
const failurePauseMs = 100;

/** After the end of a load with keys: as long as k6 gives its users to finish. */
const repeatMsMax = 30_000;

const progressIntervalMs = 250;

/** Kinds of failure told apart; the codes are the api's few, unless something else answers in its place. */
const failureKindsMax = 50;

/** A load under way. */
interface Load {
  options: LoadOptions;
  run: Run;
  client: ApiClient;
  ids: IdsWriter;
  isOver(): boolean;
  mayRepeat(): boolean;
}

/** Resolves when the load is over. @throws NotJudged when the ids cannot be written down. */
export async function driveLoad(options: LoadOptions, beganAt: Date): Promise<Run> {
  const { idsFile, durationMs, signal } = options;
  const none = { sent: 0, confirmed: 0, refused: 0, recorded: 0, lastSecond: 0 };
  const keyed = options.keys && { repeats: 0, idsChanged: 0 };
  const run: Run = { beganAt, ...none, idsFile, failures: {}, keyed };
  const start = performance.now();
  const elapsedMs = () => performance.now() - start;
  let endedAtMs = Number.POSITIVE_INFINITY;
  const load: Load = {
    options,
    run,
    client: createApiClient(new URL(options.baseUrl).protocol, options.token),
    ids: await createIdsFile(idsFile, beganAt, { isKeyed: keyed !== undefined }),
    isOver() {
      const isOver = signal.aborted || elapsedMs() >= durationMs;
      if (isOver) endedAtMs = Math.min(endedAtMs, elapsedMs());
      return isOver;
    },
    mayRepeat: () => !load.isOver() || elapsedMs() - endedAtMs < repeatMsMax,
  };
  const progress = setInterval(() => options.onProgress?.(run, elapsedMs()), progressIntervalMs);

  async function sendUntilTheEnd(): Promise<void> {
    while (!load.isOver()) {
      const isConfirmed = await (keyed ? sendUntilConfirmed(load, keyed) : sendOnce(load));
      const pauseMs = isConfirmed ? options.thinkTimeMs : failurePauseMs;
      if (pauseMs !== undefined) await pause(pauseMs);
    }
  }

  try {
    await Promise.all(Array.from({ length: options.connections }, sendUntilTheEnd));
  } finally {
    clearInterval(progress);
    load.client.close();
    await load.ids.close();
  }
  return run;
}

/** @returns whether the request was confirmed. */
async function sendOnce(load: Load): Promise<boolean> {
  const { run, options } = load;
  run.sent++;
  const sentAtMs = performance.now();
  const { outcome, ids } = await ask(load, options.baseUrl);
  if (outcome === 'refused') run.refused++;
  if (outcome !== 'confirmed') return false;
  if (ids) run.lastSecond = Math.max(run.lastSecond, ...ids.map(secondOf));
  await confirm(load, ids, sentAtMs);
  return true;
}

/** @returns false when there was no more time to repeat the request. */
async function sendUntilConfirmed(load: Load, keyed: KeyedOutcomes): Promise<boolean> {
  const { run, options } = load;
  run.sent++;
  const headers = { 'idempotency-key': randomUUID() };
  let known: string[] | undefined;
  for (;;) {
    const sentAtMs = performance.now();
    const baseUrls = [options.baseUrl, ...(options.keys?.alsoTo?.() ?? [])];
    const replies = await Promise.all(baseUrls.map((baseUrl) => ask(load, baseUrl, headers)));
    keyed.repeats += baseUrls.length - 1;
    for (const { ids } of replies) {
      known ??= ids;
      if (ids && String(ids) !== String(known)) keyed.idsChanged++;
    }
    if (replies.every(({ outcome }) => outcome === 'confirmed')) {
      await confirm(load, known, sentAtMs);
      return true;
    }
    if (!load.mayRepeat()) return false;
    await pause(failurePauseMs);
    keyed.repeats++;
  }
}

async function ask({ client, run }: Load, baseUrl: string, headers?: Record<string, string>): Promise<Reply> {
  const reply = await client.ask(new URL(`${baseUrl}/api/data`), headers);
  if (reply.failure !== undefined) countFailure(run.failures, reply.failure);
  return reply;
}

async function confirm(
  { run, options, ids }: Load,
  confirmed: string[] | undefined,
  sentAtMs: number,
): Promise<void> {
  run.confirmed++;
  if (!confirmed) return;
  run.recorded++;
  options.onConfirmed?.(confirmed, sentAtMs);
  await ids.add(confirmed);
}

function countFailure(failures: Run['failures'], kind: string): void {
  const isNew = !Object.hasOwn(failures, kind);
  const counted = isNew && Object.keys(failures).length >= failureKindsMax ? 'others' : kind;
  failures[counted] = (failures[counted] ?? 0) + 1;
}
