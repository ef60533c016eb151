/** What checks expect, in their own words. */
import assert from 'node:assert/strict';
import { type ServiceError, status } from '@grpc/grpc-js';
import type { Received } from './pull-stream.ts';

export type StatusName = keyof typeof status;

/** What NOT_FOUND says: in the service's words, or in those that Google's emulator has for a kind of resource. */
export const missing =
  /^(Resource not found \(resource=[^)]*\)\.|(Topic|Dead letter topic|Subscription) not found\.?|(Subscription|Subscription topic|Snapshot) does not exist( \(resource=.+\))?)$/;

/** `answer` fails with exactly this. @returns the error, for what more it says. */
export async function refuses(
  answer: Promise<unknown>,
  code: StatusName,
  text: string | RegExp,
): Promise<ServiceError> {
  const error = await answer.then(
    (value) => assert.fail(`answered with ${JSON.stringify(value)}, not ${code}`),
    (cause: ServiceError) => cause,
  );
  endsWith(error, code, text);
  return error;
}

export async function allRefuse(
  answers: Promise<unknown>[],
  code: StatusName,
  text: string | RegExp,
): Promise<void> {
  await Promise.all(answers.map((answer) => refuses(answer, code, text)));
}

/** How a stream ended. */
export function endsWith(error: ServiceError | undefined, code: StatusName, text: string | RegExp): void {
  if (error === undefined || error.code === undefined) throw error ?? new Error(`ended with OK, not ${code}`);
  assert.equal(status[error.code], code, error.details);
  if (typeof text === 'string') assert.equal(error.details, text);
  else assert.match(error.details, text);
}

export function textsOf(received: readonly Received[]): string[] {
  return received.map(({ message }) => Buffer.from(message?.data ?? '').toString());
}

export function attemptsOf(received: readonly Received[]): number[] {
  return received.map(({ deliveryAttempt }) => deliveryAttempt ?? 0);
}

export function idsOf(received: readonly Received[]): string[] {
  return received.map(({ message }) => message?.messageId ?? '');
}

/** In milliseconds since 1970. */
export function publishTimeOf({ message }: Received): number {
  const { seconds, nanos } = message?.publishTime ?? {};
  return Number(seconds) * 1_000 + (nanos ?? 0) / 1e6;
}

/** A time as requests have it. */
export function timestamp(ms: number): { seconds: number; nanos: number } {
  return { seconds: Math.floor(ms / 1_000), nanos: Math.floor((ms % 1_000) * 1e6) };
}

/**
 * What `run` gives, which takes from `fromMs` to `toMs`. `run` begins with the request from which on time counts, or
 * before it, so that a slow machine cannot make it too early; how late it may be is wide for the same reason.
 */
export async function takes<Value>(
  [fromMs, toMs]: readonly [fromMs: number, toMs: number],
  run: () => Promise<Value>,
): Promise<Value> {
  const started = performance.now();
  const value = await run();
  const ms = Math.round(performance.now() - started);
  // A timer may be a little early.
  assert.ok(ms >= fromMs - 20 && ms <= toMs, `took ${ms} ms, not ${fromMs} to ${toMs}`);
  return value;
}
