/** One run of wrk, a load generator light enough not to be the limit (Debian package `wrk`). */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

export interface WrkResult {
  requestsPerSecond: number;
  p50Ms: number;
  p99Ms: number;
  requests: number;
  /** Answers that were not 2xx, and sockets that failed or timed out. */
  failed: number;
}

const run = promisify(execFile);
const unitMs: Record<string, number> = { us: 0.001, ms: 1, s: 1_000, m: 60_000 };

/** @throws Error when wrk is not installed. A request counts as failed after 10 s, as in the stress test. */
export async function runWrk(
  url: string,
  options: { connections: number; seconds: number },
): Promise<WrkResult> {
  const { connections, seconds } = options;
  const args = ['-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '10s', '--latency', url];
  const { stdout } = await run('wrk', args);
  const number = (pattern: RegExp) => Number(pattern.exec(stdout)?.[1] ?? 0);
  const latency = (percentile: string) => {
    const match = new RegExp(`^\\s+${percentile}%\\s+([\\d.]+)(us|ms|s|m)\\s*$`, 'm').exec(stdout);
    return Number(match?.[1] ?? Number.NaN) * (unitMs[match?.[2] ?? ''] ?? Number.NaN);
  };
  const sockets =
    /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(stdout)?.slice(1) ?? [];
  return {
    requestsPerSecond: number(/Requests\/sec:\s+([\d.]+)/),
    p50Ms: latency('50'),
    p99Ms: latency('99'),
    requests: number(/(\d+) requests in/),
    failed:
      number(/Non-2xx or 3xx responses: (\d+)/) + sockets.map(Number).reduce((sum, count) => sum + count, 0),
  };
}
