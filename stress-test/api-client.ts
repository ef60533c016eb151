/** What a load asks of the api, and what each answer says about the five writes of its request. */
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import { text } from 'node:stream/consumers';
import { areIdsOfRequest } from './ids-file.ts';
import { classifyAnswer } from './outcome.js';
import { NotJudged } from './run.ts';

export interface Reply {
  outcome: ReturnType<typeof classifyAnswer>;
  /** The ids that the answer names: of a confirmation, or of a failure after which they may be stored. */
  ids: string[] | undefined;
  /** What came instead of a confirmation, such as `503 overloaded` or `ECONNRESET`. */
  failure: string | undefined;
}

export interface ApiClient {
  /** Sends GET /api/data once. Failures are replies too, so it does not throw. */
  ask(url: URL, headers?: Record<string, string>): Promise<Reply>;
  /** Ends its connections. */
  close(): void;
}

/** The time limit of the assessment's stress test. */
export const answerTimeoutMs = 10_000;

/** Errors from before a connection: nothing was sent. */
const notConnectedCodes = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN']);

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

/** @param protocol of the URLs that it is asked for. @param token sent as bearer token, where the api wants one. */
export function createApiClient(protocol: string, token?: string): ApiClient {
  const agent = new (clientOf(protocol).Agent)({ keepAlive: true });
  const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
  return {
    async ask(url, headers = {}) {
      try {
        return readReply(await get(url, { agent, headers: { ...authorization, ...headers } }));
      } catch (error) {
        const { code, message } = error as NodeJS.ErrnoException;
        const outcome = notConnectedCodes.has(code ?? '') ? 'refused' : 'unknown';
        return { outcome, ids: undefined, failure: code ?? message };
      }
    },
    close: () => agent.destroy(),
  };
}

function readReply(answer: Answer): Reply {
  const { writes, ids } = (answer.body ?? {}) as { writes?: unknown; ids?: unknown };
  const outcome = classifyAnswer(answer.status, answer.body);
  const isConfirmed = outcome === 'confirmed';
  const named = isConfirmed ? writes : ids;
  return {
    outcome,
    ids: areIdsOfRequest(named) ? named : undefined,
    failure: isConfirmed ? undefined : describeFailure(answer),
  };
}

function describeFailure({ status, retryAfter, body }: Answer): string {
  const { code } = (body ?? {}) as { code?: unknown };
  const named = typeof code === 'string' ? `${status} ${code}` : `${status}`;
  return status === 503 && retryAfter === undefined ? `${named} without Retry-After` : named;
}

/** @throws Error when there is no whole answer within the time limit. */
async function get(url: URL, options: http.RequestOptions = {}): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const request = clientOf(url.protocol).get(url, { ...options, timeout: answerTimeoutMs }, resolve);
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

function clientOf(protocol: string): typeof http | typeof https {
  return protocol === 'https:' ? https : http;
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}
