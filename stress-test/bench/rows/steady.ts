/** What the way of a write costs and carries while the writer keeps up, beside an answer that costs nothing. */
import {
  addMeasurement,
  alternateWrk,
  type BenchRun,
  ours,
  startSystems,
  staticExpress,
  withSubjects,
} from '../run.ts';
import { type Subject, startStatic } from '../subjects.ts';

const row = 'steady' as const;
const connections = 256;
const targets = { rate: 8_000, stored: 40_000, backlog: 1 };

export async function measureSteady(run: BenchRun): Promise<void> {
  const { scale, figures } = run;
  const starts: Record<string, () => Promise<Subject>> = {
    ...startSystems(run),
    [staticExpress]: startStatic,
  };
  await withSubjects(starts, (subjects) =>
    alternateWrk(run, subjects, { connections, seconds: scale.seconds }, (name, measurement) =>
      addMeasurement(figures, row, name, measurement, { targets }),
    ),
  );
  figures.deriveRatio(
    { row, name: 'requests, of those of static Express', better: 'higher', target: 0.3 },
    'requests',
    [ours, staticExpress],
  );
  figures.deriveRatio(
    { row, name: 'CPU a request, api, of that of static Express', better: 'lower', target: 2 },
    'CPU a request, api',
    [ours, staticExpress],
  );
}
