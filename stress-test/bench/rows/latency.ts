/** What publishing adds to an answer while nothing is short of CPU: one request a second of each of many users. */
import { addMeasurement, alternateWrk, type BenchRun, ours, staticExpress, withSubjects } from '../run.ts';
import { startStatic, startSystem } from '../subjects.ts';

const row = 'latency' as const;
const thinkMs = 1_000;
const targets = { p50: 10, p99: 40 } as const;

export async function measureLatency(run: BenchRun): Promise<void> {
  const { scale, figures } = run;
  const load = { connections: scale.fixedRate, thinkMs, seconds: scale.seconds };
  await withSubjects({ [ours]: startSystem, [staticExpress]: startStatic }, (subjects) =>
    alternateWrk(run, subjects, load, (name, measurement) => addMeasurement(figures, row, name, measurement)),
  );
  for (const [of, target] of Object.entries(targets)) {
    figures.derive(
      { row, name: `${of} added`, unit: 'ms', better: 'lower', target },
      of,
      [ours, staticExpress],
      (own, other) => own - other,
    );
  }
}
