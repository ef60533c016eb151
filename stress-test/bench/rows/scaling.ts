/** Where it bends: more processes of a kind, larger documents, a larger collection. */
import type { Measurement } from '../measurement.ts';
import { alternateWrk, type BenchRun, ours, withSubjects } from '../run.ts';
import { type System, type SystemOptions, startSystem } from '../subjects.ts';
import { drain, storeBare } from './drain.ts';

const row = 'scaling' as const;
const connections = 256;

export async function measureScaling(run: BenchRun): Promise<void> {
  await measureApis(run);
  await measureWriters(run);
  await measureDocuments(run);
  await measureCollection(run);
}

async function measureApis(run: BenchRun): Promise<void> {
  for (const apiCount of run.scale.apiCounts) {
    const prefix = `${apiCount} api process${apiCount > 1 ? 'es' : ''}: `;
    await withSystem({ apiCount }, (system) => measureLoad(run, system, prefix));
  }
}

async function measureWriters({ scale, figures, say }: BenchRun): Promise<void> {
  for (const writerCount of scale.writerCounts) {
    await withSystem({ writerCount }, async (system) => {
      for (let round = 0; round < scale.rounds; round++) {
        say(`${writerCount} writers, round ${round + 1} of ${scale.rounds}`);
        const name = `${writerCount} writer${writerCount > 1 ? 's' : ''}: documents of a backlog stored`;
        const perSecond = await drain(system, scale.backlogWrites);
        figures.add({ row, name, unit: '/s', better: 'higher' }, ours, perSecond);
      }
    });
  }
}

async function measureDocuments(run: BenchRun): Promise<void> {
  await withSystem({}, async (system) => {
    for (const size of run.scale.documentSizes) {
      const body = JSON.stringify({ text: 'x'.repeat(size) });
      const prefix = `documents of ${size / 1_000} kB: `;
      await measureLoad(run, system, prefix, { path: '/api/records', body });
    }
  });
}

/** Of one system, whose collection grows. */
async function measureCollection(run: BenchRun): Promise<void> {
  await withSystem({}, async (system) => {
    let filled = 0;
    for (const count of run.scale.collectionWrites) {
      const text = count.toLocaleString('en');
      run.say(`a collection of ${text} documents`);
      await storeBare(system, count - filled);
      filled = count;
      await measureLoad(run, system, `collection of ${text} and more: `);
    }
  });
}

function withSystem(options: SystemOptions, use: (system: System) => Promise<void>): Promise<void> {
  return withSubjects({ [ours]: () => startSystem(options) }, ({ [ours]: system }) => use(system));
}

async function measureLoad(
  run: BenchRun,
  system: System,
  prefix: string,
  load: { path?: string; body?: string } = {},
): Promise<void> {
  const { scale, figures } = run;
  const say = (text: string) => run.say(`${prefix}${text}`);
  const options = { connections, seconds: scale.seconds, ...load };
  await alternateWrk({ ...run, say }, { [ours]: system }, options, (_name, measurement) => {
    const rate = { row, unit: '/s', better: 'higher' } as const;
    figures.add({ ...rate, name: `${prefix}requests` }, ours, measurement.requestsPerSecond);
    const failed = { row, unit: '', better: 'lower', target: 0 } as const;
    figures.add({ ...failed, name: `${prefix}failed` }, ours, measurement.failed);
    figures.add({ ...rate, name: `${prefix}documents stored` }, ours, measurement.storedPerSecond);
    const cost = { row, unit: 'µs', better: 'lower' } as const;
    figures.add({ ...cost, name: `${prefix}CPU a request, all parts` }, ours, cpuOfParts(measurement));
    const { MongoDB = Number.NaN } = measurement.cpuMicros;
    figures.add({ ...cost, name: `${prefix}CPU a request, MongoDB` }, ours, MongoDB);
  });
}

function cpuOfParts({ cpuMicros: { load: _load, ...parts } }: Measurement): number {
  return Object.values(parts).reduce((sum, micros) => sum + micros, 0);
}
