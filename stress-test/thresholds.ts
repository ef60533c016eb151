/** The thresholds of a run of k6, from the file of its --summary-export. */
import { z } from 'zod';
import { readSummary } from './k6-run.ts';
import { NotJudged } from './run.ts';

export interface Threshold {
  /** Such as `http_req_duration p(95)<2000`. */
  name: string;
  /** What was measured, in the metric's own unit; undefined when k6 does not export it. */
  value: number | undefined;
  isPassed: boolean;
}

const summarySchema = z.object({
  metrics: z.record(
    z.string(),
    z.looseObject({
      // True says that it was crossed: https://grafana.com/docs/k6/latest/results-output/end-of-test/
      thresholds: z.record(z.string(), z.boolean()).optional(),
    }),
  ),
});

/** @throws NotJudged when the file is none of k6's, or has no threshold. */
export async function readThresholds(file: string): Promise<Threshold[]> {
  const { metrics } = await readSummary(file, summarySchema);
  const thresholds = Object.entries(metrics).flatMap(([metric, fields]) =>
    Object.entries(fields.thresholds ?? {}).map(([condition, isCrossed]): Threshold => {
      const [aggregate = ''] = condition.split(/[<>=!]/);
      // A rate is exported as `value`.
      const value = fields[aggregate] ?? fields.value;
      return {
        name: `${metric} ${condition}`,
        value: typeof value === 'number' ? value : undefined,
        isPassed: !isCrossed,
      };
    }),
  );
  if (thresholds.length === 0) throw new NotJudged(`${file} has no thresholds`);
  return thresholds;
}

export function formatVerdict(thresholds: Threshold[], isAuditPassed: boolean): string {
  const width = Math.max(...thresholds.map(({ name }) => name.length));
  const lines = thresholds.map(({ name, value, isPassed }) => {
    const measured = value === undefined ? '' : value.toLocaleString('en-US', { maximumFractionDigits: 4 });
    return `  ${isPassed ? '✓' : '✗'} ${name.padEnd(width)}  ${measured}`.trimEnd();
  });
  lines.push(`  ${isAuditPassed ? '✓' : '✗'} audit: every confirmed id is stored exactly once`);
  const isPassed = isAuditPassed && thresholds.every((threshold) => threshold.isPassed);
  return `\n${lines.join('\n')}\n\n${isPassed ? 'PASS' : 'FAIL'}\n`;
}
