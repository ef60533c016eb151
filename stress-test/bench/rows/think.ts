/** The assessment's users and thresholds with think time, so that neither k6 nor the machine is what is measured. */
import { readK6Run } from '../../k6-run.ts';
import { addAudit } from '../arrival.ts';
import { type K6Result, runK6 } from '../k6.ts';
import { measure } from '../measurement.ts';
import { addMeasurement, type BenchRun, noteMissing, ours, warm, withSubjects } from '../run.ts';
import { startSystem } from '../subjects.ts';

const row = 'think' as const;

export async function measureThink(run: BenchRun): Promise<void> {
  const { scale, figures, say } = run;
  if (noteMissing(run, row, 'k6')) return;
  const args = [...scale.k6Args, '-e', `THINK_TIME=${scale.thinkSeconds}`, '-e', 'RECORD=true'];
  await withSubjects({ [ours]: startSystem }, async ({ [ours]: system }) => {
    await warm(system, scale);
    for (let round = 0; round < scale.rounds; round++) {
      say(`round ${round + 1} of ${scale.rounds}`);
      const [baseUrl = ''] = system.urls;
      let result: K6Result | undefined;
      const measurement = await measure(system, async () => {
        result = await runK6(baseUrl, args);
        return result;
      });
      addMeasurement(figures, row, ours, measurement, { targets: { p95: 100 } });
      if (!result) continue;
      const missed = Number(!result.isPassed);
      figures.add({ row, name: 'thresholds missed', unit: '', better: 'lower', target: 0 }, ours, missed);
      say('looking up what was confirmed');
      await addAudit(figures, row, ours, system, await readK6Run(result.files));
    }
  });
}
