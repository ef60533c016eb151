/**
 * The audit's own load: `connections` clients, each with one request at a time and no think time, every
 * confirmed id written down as it arrives.
 *
 * Unlike Go's HTTP client, and so unlike k6, it never repeats a request by itself.
 */
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { areIdsOfRequest, createIdsFile, secondOf } from './ids-file.ts';
import { classifyAnswer } from './outcome.js';
import { NotJudged, type Run } from './run.ts';

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
  /** Told of the run so far, about four times a second. */
  onProgress?: (run: Run, elapsedMs: number) => void;
  /** Told of each confirmed request: its ids, and when it was sent, by `performance.now()`. */
  onConfirmed?: (ids: string[], sentAtMs: number) => void;
}

/** The time limit of the assessment's stress test. */
const answerTimeoutMs = 10_000;

/** After anything but a confirmation, so that an api that is away is asked and not hammered. */
const failurePauseMs = 100;

const progressIntervalMs = 250;

/** Errors from before a connection: nothing was sent. */
const notConnectedCodes = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN']);

/** Kinds of failure told apart; the codes are the api's few, unless something else answers in its place. */
const failureKindsMax = 50;

interface Answer {
  status: number;
  retryAfter: string | undefined;
  body: unknown;
}

/**
 * The time by the api's clock, which ids are made with.
 * @throws NotJudged unless /readyz is 200: such a load would prove nothing.
 */
export async function readApiClock(baseUrl: string): Promise<Date> {
  const url = `${baseUrl}/readyz`;
  try {
    const { status, body } = await get(new URL(url));
    const clock = new Date((body as { timestamp?: string } | undefined)?.timestamp ?? '');
    if (status === 200 && !Number.isNaN(clock.getTime())) return clock;
    throw new Error(`the answer is ${status} ${JSON.stringify(body) ?? ''}`);
  } catch (cause) {
    // Several addresses that all refuse make an error with a code and no message.
    const { message, code } = cause as NodeJS.ErrnoException;
    throw new NotJudged(`${url} has to answer 200 with the api's time: ${message || code}`, { cause });
  }
}

/** Resolves when the load is over. @throws NotJudged when the ids cannot be written down. */
export async function driveLoad(options: LoadOptions, beganAt: Date): Promise<Run> {
  const { idsFile } = options;
  const none = { sent: 0, confirmed: 0, refused: 0, recorded: 0, lastSecond: 0 };
  const run: Run = { beganAt, ...none, idsFile, failures: {} };
  const url = new URL(`${options.baseUrl}/api/data`);
  const agent = new (clientOf(url).Agent)({ keepAlive: true });
  const headers = options.token === undefined ? {} : { authorization: `Bearer ${options.token}` };
  const ids = await createIdsFile(idsFile, beganAt);
  const start = performance.now();
  const elapsedMs = () => performance.now() - start;
  const progress = setInterval(() => options.onProgress?.(run, elapsedMs()), progressIntervalMs);

  function countFailure(kind: string): void {
    const isNew = !Object.hasOwn(run.failures, kind);
    const counted = isNew && Object.keys(run.failures).length >= failureKindsMax ? 'others' : kind;
    run.failures[counted] = (run.failures[counted] ?? 0) + 1;
  }

  async function sendOne(): Promise<boolean> {
    run.sent++;
    const sentAtMs = performance.now();
    let answer: Answer;
    try {
      answer = await get(url, { agent, headers });
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      countFailure(code ?? message);
      if (notConnectedCodes.has(code ?? '')) run.refused++;
      return false;
    }
    const outcome = classifyAnswer(answer.status, answer.body);
    if (outcome === 'refused') run.refused++;
    if (outcome !== 'confirmed') {
      countFailure(describeFailure(answer));
      return false;
    }
    run.confirmed++;
    const { writes } = answer.body as { writes?: unknown };
    if (areIdsOfRequest(writes)) {
      run.recorded++;
      run.lastSecond = Math.max(run.lastSecond, ...writes.map(secondOf));
      options.onConfirmed?.(writes, sentAtMs);
      await ids.add(writes);
    }
    return true;
  }

  async function sendUntilTheEnd(): Promise<void> {
    while (elapsedMs() < options.durationMs && !options.signal.aborted) {
      const isConfirmed = await sendOne();
      const pauseMs = isConfirmed ? options.thinkTimeMs : failurePauseMs;
      if (pauseMs !== undefined) await pause(pauseMs);
    }
  }

  try {
    await Promise.all(Array.from({ length: options.connections }, sendUntilTheEnd));
  } finally {
    clearInterval(progress);
    agent.destroy();
    await ids.close();
  }
  return run;
}

function describeFailure({ status, retryAfter, body }: Answer): string {
  const { code } = (body ?? {}) as { code?: unknown };
  const named = typeof code === 'string' ? `${status} ${code}` : `${status}`;
  return status === 503 && retryAfter === undefined ? `${named} without Retry-After` : named;
}

/** @throws Error when there is no whole answer within the time limit. */
async function get(url: URL, options: http.RequestOptions = {}): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const request = clientOf(url).get(url, { ...options, timeout: answerTimeoutMs }, resolve);
  request.on('error', reject);
  request.on('timeout', () => request.destroy(new Error(`no answer in ${answerTimeoutMs / 1000} s`)));
  const response = await promise;
  const body = await text(response);
  return {
    status: response.statusCode ?? 0,
    retryAfter: response.headers['retry-after'],
    body: parseJson(body),
  };
}

function clientOf(url: URL): typeof http | typeof https {
  return url.protocol === 'https:' ? https : http;
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}
