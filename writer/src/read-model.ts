/**
 * Keeps the document that the api's reads come from (the api's read-model.ts): the newest stored ids and
 * the total, updated at most twice a second however much is stored.
 */
import type { Write } from '@assessment/api/envelope';
import { newestIdsMax, type ReadModel } from '@assessment/api/read-model';
import type { Collection, ObjectId } from 'mongodb';

/** The api reads it once a second, so ids are known within two, and later where batches wait for MongoDB before it. */
const updateIntervalMs = 500;

/**
 * Makes the read model where there is none, of what the collection already holds. Run before this
 * process stores anything; without documents it costs nothing, with them one count and one short find.
 */
export async function seedReadModel(
  readModel: Collection<ReadModel>,
  records: Collection<Write>,
): Promise<void> {
  if (await readModel.findOne({ _id: 'records' }, { projection: { _id: 1 } })) return;
  const total = await records.estimatedDocumentCount();
  const stored = await records
    .find({}, { projection: { _id: 1 } })
    .limit(newestIdsMax)
    .toArray();
  await readModel.updateOne(
    { _id: 'records' },
    { $setOnInsert: { total, newestIds: stored.map(({ _id }) => _id) } },
    { upsert: true },
  );
}

export interface ReadModelUpdater {
  stored(writes: Write[], insertedCount: number): void;
  /** Writes what is not yet written, once; called when nothing more will be stored. */
  close(): Promise<void>;
}

export interface ReadModelUpdaterOptions {
  /** Runs an operation within the bound on operations in MongoDB. */
  run: <T>(operation: () => Promise<T>) => Promise<T>;
  onFailed?: (error: unknown) => void;
}

export function createReadModelUpdater(
  readModel: Collection<ReadModel>,
  options: ReadModelUpdaterOptions,
): ReadModelUpdater {
  let newestIds: ObjectId[] = [];
  let insertedCount = 0;
  let timer: NodeJS.Timeout | undefined;
  let underWay: Promise<void> = Promise.resolve();

  async function update(): Promise<void> {
    timer = undefined;
    const ids = newestIds;
    const inserted = insertedCount;
    newestIds = [];
    insertedCount = 0;
    try {
      await options.run(() =>
        readModel.updateOne(
          { _id: 'records' },
          { $inc: { total: inserted }, $set: { newestIds: ids } },
          { upsert: true },
        ),
      );
    } catch (error) {
      options.onFailed?.(error);
      insertedCount += inserted;
      if (newestIds.length === 0) newestIds = ids;
      schedule();
    }
  }

  function schedule(): void {
    timer ??= setTimeout(() => {
      underWay = update();
    }, updateIntervalMs);
  }

  return {
    stored(writes, inserted) {
      insertedCount += inserted;
      newestIds = newestIds
        .concat(writes.slice(-newestIdsMax).map((write) => write._id))
        .slice(-newestIdsMax);
      schedule();
    },
    async close() {
      await underWay;
      if (!timer) return;
      clearTimeout(timer);
      await update();
      clearTimeout(timer);
    },
  };
}
