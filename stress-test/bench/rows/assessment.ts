/** The assessment's script with its stages shortened, k6 and everything else on this machine, beside a static answer. */
import { alternate } from '../alternate.ts';
import { runK6 } from '../k6.ts';
import { measure } from '../measurement.ts';
import {
  addMeasurement,
  type BenchRun,
  noteMissing,
  ours,
  staticExpress,
  warm,
  withSubjects,
} from '../run.ts';
import { startStatic, startSystem } from '../subjects.ts';

const row = 'assessment' as const;

export async function measureAssessment(run: BenchRun): Promise<void> {
  const { scale, figures, say } = run;
  if (noteMissing(run, row, 'k6')) return;
  await withSubjects({ [ours]: startSystem, [staticExpress]: startStatic }, async (subjects) => {
    for (const subject of Object.values(subjects)) await warm(subject, scale);
    await alternate(scale.rounds, Object.entries(subjects), async ([name, subject], round) => {
      say(`round ${round + 1} of ${scale.rounds}: ${name}`);
      const [baseUrl = ''] = subject.urls;
      const measurement = await measure(subject, () => runK6(baseUrl, scale.k6Args));
      addMeasurement(figures, row, name, measurement, name === ours ? { targets: { backlog: 2 } } : {});
    });
  });
  for (const [of, better, target] of [
    ['requests', 'higher', 0.72],
    ['p95', 'lower', 1.35],
  ] as const) {
    figures.deriveRatio({ row, name: `${of}, of those of static Express`, better, target }, of, [
      ours,
      staticExpress,
    ]);
  }
}
