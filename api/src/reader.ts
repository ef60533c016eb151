/**
 * The reads of GET /api/data and the counts of GET /api/stats, without a query per request.
 *
 * In the background, every 800 ms at most: the ids that the writer stored last (read-model.ts) are read
 * and looked up by primary key, so an id is only ever answered for a document that is there, and the cost
 * is the same however large the collection is. While MongoDB is away the last known ids are served.
 * MongoDB sees at most `concurrency` operations at once: one place is the cache's own, so that look-ups
 * of single records, however many, do not make it older; the look-ups share the others.
 */
import type { Db, ObjectId, WithId } from 'mongodb';
import pLimit from 'p-limit';
import type { Write } from './envelope.ts';
import { ApiError } from './errors.ts';
import { names } from './names.ts';
import { readModelCollection } from './read-model.ts';
import { createRefresher } from './refresher.ts';

/** Under the promised second, so that a load's own time fits in as well. */
const refreshIntervalMs = 800;

/** At most a twentieth of the time is spent in the database for the cache. */
const refreshTimeShareMax = 0.05;

/** Long enough for a busy node, short enough that a stopped one is told from a slow one. */
const operationTimeoutMs = 2_000;

/** Look-ups that may wait for their turn; each is answered within `operationTimeoutMs` of its arrival. */
const lookUpsWaitingMax = 1_000;

/**
 * None, in an object without a prototype. The driver (7.9.0) takes `{}` and looks a document's keys up in it: what
 * an array holds under a key such as `toString` then comes as a Buffer.
 */
const fieldsAsRaw: Record<string, boolean> = Object.create(null);

interface Snapshot {
  ids: ObjectId[];
  totalDocuments: number;
}

export interface Reader {
  /** The id of a stored document, in turn; null while none is known. Never waits, never throws. */
  nextId(): ObjectId | null;
  /** Documents in the collection, undefined before MongoDB answered once, and the age of the figure. */
  totalDocuments(): { total: number; ageSeconds: number } | undefined;
  ageSeconds(): number | undefined;
  /** @throws ApiError `overloaded` or `database_unavailable`. */
  findRecord(id: ObjectId): Promise<WithId<Write> | null>;
  /** Operations in MongoDB and waiting for their turn. */
  operations(): { active: number; waiting: number };
  close(): Promise<void>;
}

export function createReader(
  database: Db,
  /** `concurrency` from 2 on. */
  options: { concurrency: number; onRefreshFailed?: (error: unknown) => void },
): Reader {
  const records = database.collection<Write>(names.collection);
  const readModel = readModelCollection(database);
  const cacheReads = pLimit(1);
  const lookUps = pLimit(options.concurrency - 1);
  let isMetadataCountExact: boolean | undefined;
  let turn = 0;

  /**
   * The count from the collection's metadata costs nothing on a real mongod. SecantusDB names itself in
   * buildInfo and scans the collection for it, so there the writer's own total is taken.
   */
  async function countDocuments(writerTotal: number): Promise<number> {
    isMetadataCountExact ??= !(
      'secantusVersion' in (await database.command({ buildInfo: 1 }, { timeoutMS: operationTimeoutMs }))
    );
    if (!isMetadataCountExact) return writerTotal;
    return records.estimatedDocumentCount({ timeoutMS: operationTimeoutMs });
  }

  async function load(): Promise<Snapshot> {
    const model = await cacheReads(() =>
      readModel.findOne({ _id: 'records' }, { timeoutMS: operationTimeoutMs }),
    );
    const stored = await cacheReads(() =>
      records
        .find(
          { _id: { $in: model?.newestIds ?? [] } },
          { projection: { _id: 1 }, timeoutMS: operationTimeoutMs },
        )
        .toArray(),
    );
    const totalDocuments = await cacheReads(() => countDocuments(model?.total ?? 0));
    return { ids: stored.map((document) => document._id), totalDocuments };
  }

  const snapshot = createRefresher<Snapshot>({
    load,
    roundTrip: () => database.command({ ping: 1 }, { timeoutMS: operationTimeoutMs }),
    roundTripsPerLoad: 3,
    intervalMs: refreshIntervalMs,
    timeShareMax: refreshTimeShareMax,
    onFailed: (error) => options.onRefreshFailed?.(error),
  });

  return {
    nextId() {
      const ids = snapshot.value()?.ids;
      if (!ids || ids.length === 0) return null;
      turn = (turn + 1) % ids.length;
      return ids[turn] ?? null;
    },
    totalDocuments() {
      const value = snapshot.value();
      return value && { total: value.totalDocuments, ageSeconds: snapshot.ageSeconds() ?? 0 };
    },
    ageSeconds: () => snapshot.ageSeconds(),
    async findRecord(id) {
      if (lookUps.pendingCount >= lookUpsWaitingMax) {
        throw new ApiError('overloaded', 'Too many look-ups are waiting for MongoDB. Try again.');
      }
      const deadline = performance.now() + operationTimeoutMs;
      try {
        return await lookUps(() => {
          const timeoutMS = Math.floor(deadline - performance.now());
          if (timeoutMS <= 0) throw new Error('the look-up waited too long for its turn');
          return records.findOne({ _id: id }, { timeoutMS, fieldsAsRaw });
        });
      } catch (cause) {
        throw new ApiError('database_unavailable', 'MongoDB is not answering. Try again.', { cause });
      }
    },
    operations: () => ({
      active: cacheReads.activeCount + lookUps.activeCount,
      waiting: cacheReads.pendingCount + lookUps.pendingCount,
    }),
    close: () => snapshot.close(),
  };
}
