/** One run of the assessment's script in k6. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { findK6 } from '../../test/parts.ts';
import { createFolder } from '../../test/process.ts';
import type { LoadResult } from './measurement.ts';

export interface K6Result extends LoadResult {
  /** Whether it ended as k6 does when all thresholds are met. */
  isPassed: boolean;
  files: { summary: string; ids: string };
}

const script = join(import.meta.dirname, '../stress-test.js');
/** https://grafana.com/docs/k6/latest/using-k6/thresholds/#exit-codes */
const thresholdsMissed = 99;

const summarySchema = z.object({
  metrics: z.object({
    http_reqs: z.object({ count: z.number(), rate: z.number() }),
    http_req_failed: z.object({ passes: z.number() }),
    http_req_duration: z.object({ med: z.number(), 'p(95)': z.number(), 'p(99)': z.number() }),
  }),
});

/** @throws Error with what it printed when k6 does not run through. */
export async function runK6(baseUrl: string, args: string[]): Promise<K6Result> {
  const folder = createFolder();
  const files = { summary: join(folder, 'summary.json'), ids: join(folder, 'ids.txt') };
  const recording = ['--console-output', files.ids, '--log-format', 'raw', '--summary-export', files.summary];
  const quiet = ['--quiet', '--no-usage-report', '--address', '127.0.0.1:0'];
  const child = spawn(findK6() ?? 'k6', ['run', ...quiet, ...recording, ...args, script], {
    env: { ...process.env, BASE_URL: baseUrl },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let output = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output = (output + text).slice(-10_000);
  });
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0 && code !== thresholdsMissed) throw new Error(`k6 ended with ${code}: ${output}`);
  const { metrics } = summarySchema.parse(JSON.parse(readFileSync(files.summary, 'utf8')));
  const duration = metrics.http_req_duration;
  return {
    isPassed: code === 0,
    files,
    requests: metrics.http_reqs.count,
    failed: metrics.http_req_failed.passes,
    requestsPerSecond: metrics.http_reqs.rate,
    p50Ms: duration.med,
    p95Ms: duration['p(95)'],
    p99Ms: duration['p(99)'],
  };
}
