/** A run of stress-test.js, from the files that k6 wrote: `--summary-export` and `--console-output`. */
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { inspectIdsFile } from './ids-file.ts';
import { NotJudged, type Run, unknownCount } from './run.ts';

export interface K6Files {
  summary: string;
  ids: string;
}

/** k6 leaves out a counter that nothing was added to. */
const counter = z
  .object({ count: z.int().min(0) })
  .transform(({ count }) => count)
  .default(0);

const summarySchema = z.object({
  metrics: z.object({
    requests_sent: counter,
    requests_confirmed: counter,
    requests_refused: counter,
    requests_recorded: counter,
    requests_repeated: counter,
    answers_with_other_ids: counter,
  }),
});

/** @throws NotJudged when the files are not what one run with RECORD=true leaves. */
export async function readK6Run(files: K6Files): Promise<Run> {
  const { metrics } = await readSummary(files.summary, summarySchema);
  const { beganAt, isKeyed, recorded, lastSecond } = await inspectIdsFile(files.ids);
  const run: Run = {
    beganAt,
    sent: metrics.requests_sent,
    confirmed: metrics.requests_confirmed,
    refused: metrics.requests_refused,
    recorded,
    lastSecond,
    idsFile: files.ids,
    failures: {},
    keyed: isKeyed
      ? { repeats: metrics.requests_repeated, idsChanged: metrics.answers_with_other_ids }
      : undefined,
  };
  // A user that k6 broke off may have written its ids down and not counted them any more.
  const recordedMin = metrics.requests_recorded;
  if (recorded < recordedMin || recorded > recordedMin + unknownCount(run)) {
    throw new NotJudged(
      `${files.ids} holds the ids of ${recorded} requests and ${files.summary} counts ${recordedMin}: ` +
        'they are not of the same run',
    );
  }
  return run;
}

/** What k6 wrote for --summary-export. @throws NotJudged when it is not there or not of this shape. */
export async function readSummary<Summary>(file: string, schema: z.ZodType<Summary>): Promise<Summary> {
  let summary: unknown;
  try {
    summary = JSON.parse(await readFile(file, 'utf8'));
  } catch (cause) {
    throw new NotJudged(`${file} cannot be read: ${(cause as Error).message}`, { cause });
  }
  const result = schema.safeParse(summary);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const where = issue?.path.join('.') ?? '';
  throw new NotJudged(`${file}: ${where}: ${issue?.message}; wants what k6 writes for --summary-export`);
}
