/** How stress-test.js is run in k6, so that its run can be read afterwards (k6-run.ts), and what its exit code says. */
import { join } from 'node:path';
import type { K6Files } from './k6-run.ts';

/** https://grafana.com/docs/k6/latest/misc/exit-codes/ */
export const k6ExitCodes = {
  passed: 0,
  /** All was run, and thresholds were crossed. */
  thresholdsCrossed: 99,
  /** It was ended by a signal, Ctrl-C for one; what it measured until then counts. */
  interrupted: 105,
} as const;

/** The arguments of k6. It appends to `files.ids`, which therefore must not be there. */
export function k6Arguments({ summary, ids }: K6Files, options: readonly string[]): string[] {
  return [
    ...['run', '--no-usage-report', '--address', '127.0.0.1:0'],
    ...['--console-output', ids, '--log-format', 'raw', '--summary-export', summary],
    ...options,
    join(import.meta.dirname, 'stress-test.js'),
  ];
}
