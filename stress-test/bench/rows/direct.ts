/** Beside the same api that writes to MongoDB itself: ten round trips a request. */
import { writesPerRequest } from '@assessment/api/envelope';
import { findExecutable } from '../../../test/programs.ts';
import { addMeasurement, alternateWrk, type BenchRun, ours, withSubjects } from '../run.ts';
import { type System, startSystem } from '../subjects.ts';

const row = 'direct' as const;
const connections = 100;
const byId = 'direct, by _id';
const byTheBook = 'direct, by the book';

export async function measureDirect(run: BenchRun): Promise<void> {
  const { scale, figures } = run;
  const starts: Record<string, () => Promise<System>> = {
    [ours]: startSystem,
    [byId]: () => startSystem({ env: { WRITE_PATH: 'direct' } }),
    // A server that reads its whole collection for it is not what the assessment's text has in mind.
    ...(findExecutable('mongod') && {
      [byTheBook]: () => startSystem({ env: { WRITE_PATH: 'direct-by-filter' } }),
    }),
  };
  if (!(byTheBook in starts)) {
    figures.note(`${row}: reads by a filter instead of by _id are measured where there is a real mongod.`);
  }
  await withSubjects(starts, (subjects) =>
    alternateWrk(run, subjects, { connections, seconds: scale.seconds }, (name, measurement) =>
      addMeasurement(figures, row, name, {
        ...measurement,
        // An answer of the direct way says that its five documents are stored.
        ...(name !== ours && {
          storedPerSecond: writesPerRequest * measurement.requestsPerSecond,
          backlogSeconds: 0,
        }),
      }),
    ),
  );
  for (const [of, what] of [
    ['requests', 'requests, of those of the direct way by _id'],
    ['documents stored', 'documents stored, of those of the direct way by _id'],
  ] as const) {
    figures.deriveRatio({ row, name: what, better: 'higher', target: 5 }, of, [ours, byId]);
  }
}
