/**
 * How fast the writer stores a backlog, beside a bare bulkWrite loop of the same documents on the same MongoDB, with
 * batches as the writer's and with smaller and larger ones: whether a size that adapts could win anything.
 */
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { runToItsEnd } from '../../../test/process.ts';
import { configSchema } from '../../../writer/src/config.ts';
import { alternate } from '../alternate.ts';
import { type BenchRun, ours, withSubjects } from '../run.ts';
import { type System, startSystem } from '../subjects.ts';

const row = 'drain' as const;
const name = 'documents stored';
const bare = 'bare bulkWrite';
/**
 * A look costs the cores that are measured, so there are few; but the end is seen up to one too late, so shortly before
 * it there are more.
 */
const pollMs = 200;
const pollMsAtEnd = 20;
/** More than are stored between two looks. */
const endWrites = 20_000;
/** As the writer's, at most. */
const batchWrites = configSchema.shape.BATCH_WRITES_MAX.parse(undefined);
/** What a size that adapts could come to. */
const otherBatchWrites = [100, 1_000, 10_000];

export async function measureDrain({ scale, figures, say }: BenchRun): Promise<void> {
  const count = scale.backlogWrites;
  await withSubjects({ [ours]: startSystem }, async ({ [ours]: system }) => {
    const contenders: [string, () => Promise<number>][] = [
      [ours, () => drain(system, count)],
      [bare, () => storeBare(system, count)],
      ...otherBatchWrites.map((size): [string, () => Promise<number>] => [
        `${bare} of ${size.toLocaleString('en')}`,
        () => storeBare(system, count, size),
      ]),
    ];
    await alternate(scale.rounds, contenders, async ([contender, store], round) => {
      say(`round ${round + 1} of ${scale.rounds}: ${contender}`);
      figures.add({ row, name, unit: '/s', better: 'higher' }, contender, await store());
    });
  });
  figures.deriveRatio(
    { row, name: 'documents stored, of those of the loop', better: 'higher', target: 0.85 },
    name,
    [ours, bare],
  );
}

/**
 * Fills the backlog while no writer runs. From the first document that is stored on, so that the start of a process
 * does not count.
 * @returns documents a second.
 */
export async function drain({ writers, broker, counts }: System, count: number): Promise<number> {
  await Promise.all(writers.map((writer) => writer.stop()));
  await runToItsEnd(process.execPath, [join(import.meta.dirname, '../fill.ts'), String(count)], {
    PUBSUB_EMULATOR_HOST: broker.host,
  });
  await Promise.all(writers.map((writer) => writer.restart()));
  const first = await untilStored(1);
  const last = await untilStored(count);
  return ((last.stored - first.stored) * 1_000) / (last.at - first.at);

  async function untilStored(wanted: number) {
    for (;;) {
      const { stored } = await counts();
      if (stored >= wanted) return { stored, at: performance.now() };
      await pause(wanted - stored > endWrites ? pollMs : pollMsAtEnd);
    }
  }
}

/** @returns documents a second. */
export async function storeBare({ mongoDb }: System, count: number, size = batchWrites): Promise<number> {
  const loop = join(import.meta.dirname, '../bulk-loop.ts');
  const args = [loop, String(count), String(size)];
  return Number(await runToItsEnd(process.execPath, args, { MONGODB_URI: mongoDb.uri }));
}
