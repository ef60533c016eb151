/** The whole system with the project's emulator, which keeps what it confirms, and with Google's, which does not. */
import { startGoogleEmulator } from '../../../test/parts.ts';
import { addMeasurement, alternateWrk, noteMissing, ours, type Run, withSubjects } from '../run.ts';
import { startSystem } from '../subjects.ts';

const row = 'brokers' as const;
const connections = 256;
const google = 'with Google’s';

const variants = [
  { prefix: 'one request an envelope: ', env: { ENVELOPE_WRITES_MAX: '5' }, target: 1.4 },
  { prefix: 'as shipped: ', env: {}, target: 1 },
] as const;

export async function measureBrokers(run: Run): Promise<void> {
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
    figures.derive(
      { row, name: `${prefix}requests, of those with Google’s`, unit: '×', better: 'higher', target },
      `${prefix}requests`,
      [ours, google],
      (own, other) => own / other,
    );
  }
}
