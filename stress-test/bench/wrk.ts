/** One run of wrk, a load generator light enough not to be the limit (Debian package `wrk`). */
import { join } from 'node:path';
import { z } from 'zod';
import { runToItsEnd } from '../../test/process.ts';
import type { LoadResult } from './measurement.ts';

export interface WrkOptions {
  connections: number;
  seconds: number;
  /** Between an answer and the next request of its connection; default none. */
  thinkMs?: number;
  /** Posted as JSON; default a GET. */
  body?: string;
}

const script = join(import.meta.dirname, 'wrk.lua');

const resultSchema = z.object({
  requests: z.number(),
  durationMicros: z.number(),
  failed: z.number(),
  p50Micros: z.number(),
  p95Micros: z.number(),
  p99Micros: z.number(),
});

/**
 * The latencies are as wrk corrects them: where an answer took more than twice as long as usual, the requests
 * that its connection would have sent meanwhile count as well. An answer counts as failed after 10 s, as in the
 * stress test, or when it is not 2xx.
 * @throws Error when wrk is not installed.
 */
export async function runWrk(url: string, options: WrkOptions): Promise<LoadResult> {
  const { connections, seconds, thinkMs = 0, body } = options;
  const args = ['-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '10s', '-s', script, url];
  const stdout = await runToItsEnd('wrk', args, {
    THINK_MS: String(thinkMs),
    CONNECTIONS: String(connections),
    ...(body && { BODY: body }),
  });
  const result = resultSchema.parse(JSON.parse(/^result (.*)$/m.exec(stdout)?.[1] ?? 'null'));
  return {
    requests: result.requests,
    failed: result.failed,
    requestsPerSecond: (result.requests * 1e6) / result.durationMicros,
    p50Ms: result.p50Micros / 1_000,
    p95Ms: result.p95Micros / 1_000,
    p99Ms: result.p99Micros / 1_000,
  };
}
