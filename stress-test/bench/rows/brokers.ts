/** The whole system with the project's emulator, which keeps what it confirms, and with Google's, which does not. */
import { writesPerRequest } from '@assessment/api/envelope';
import { startGoogleEmulator } from '../../../test/parts.ts';
import { addMeasurement, alternateWrk, type BenchRun, noteMissing, ours, withSubjects } from '../run.ts';
import { startSystem } from '../subjects.ts';

const row = 'brokers' as const;
const connections = 256;
const google = 'with Google’s';

/** A publish call for every request, as many at once as there are requests. */
const oneRequest = {
  ENVELOPE_WRITES_MAX: String(writesPerRequest),
  PUBLISH_CONCURRENCY: String(connections),
} as const;
const variants = [
  { prefix: 'one request an envelope: ', env: oneRequest, target: 1.4 },
  { prefix: 'as shipped: ', env: {}, target: 1 },
] as const;

export async function measureBrokers(run: BenchRun): Promise<void> {
  const { scale, figures } = run;
  if (noteMissing(run, row, 'googleEmulator')) return;
  for (const { prefix, env, target } of variants) {
    const starts = {
      [ours]: () => startSystem({ env }),
      [google]: () => startSystem({ env, startBroker: startGoogleEmulator }),
    };
    await withSubjects(starts, (subjects) =>
      alternateWrk(run, subjects, { connections, seconds: scale.seconds }, (name, measurement) =>
        addMeasurement(figures, row, name, measurement, { prefix }),
      ),
    );
    for (const name of ['requests', 'documents stored']) {
      figures.deriveRatio(
        { row, name: `${prefix}${name}, of those with Google’s`, better: 'higher', target },
        `${prefix}${name}`,
        [ours, google],
      );
    }
  }
}
