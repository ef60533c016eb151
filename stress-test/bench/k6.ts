/** One run of the assessment's script in k6. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { createFolder, endWithThisProcess } from '../../test/process.ts';
import { findK6 } from '../../test/programs.ts';
import { k6Arguments, k6ExitCodes } from '../k6-command.ts';
import type { K6Files } from '../k6-run.ts';
import type { LoadResult } from './measurement.ts';

export interface K6Result extends LoadResult {
  /** Whether it ended as k6 does when all thresholds are met. */
  isPassed: boolean;
  files: K6Files;
}

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
  const child = spawn(findK6() ?? 'k6', k6Arguments(files, ['--quiet', ...args]), {
    env: { ...process.env, BASE_URL: baseUrl },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  endWithThisProcess(child);
  let output = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output = (output + text).slice(-10_000);
  });
  const [code] = (await once(child, 'close')) as [number | null];
  const isPassed = code === k6ExitCodes.passed;
  if (!isPassed && code !== k6ExitCodes.thresholdsCrossed) {
    throw new Error(`k6 ended with ${code}: ${output}`);
  }
  const { metrics } = summarySchema.parse(JSON.parse(readFileSync(files.summary, 'utf8')));
  const duration = metrics.http_req_duration;
  return {
    isPassed,
    files,
    requests: metrics.http_reqs.count,
    failed: metrics.http_req_failed.passes,
    requestsPerSecond: metrics.http_reqs.rate,
    p50Ms: duration.med,
    p95Ms: duration['p(95)'],
    p99Ms: duration['p(99)'],
  };
}
