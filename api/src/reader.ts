/**
 * The reads of GET /api/data and the counts of GET /api/stats, without a query per request.
 *
 * In the background, every 800 ms at most: the ids that the writer stored last (read-model.ts) are read
 * and looked up by primary key, so an id is only ever answered for a document that is there, and the cost
 * is the same however large the collection is. While MongoDB is away the last known ids are served.
 * MongoDB sees at most `concurrency` operations at once: one place is the cache's own, so that look-ups
 * of single records (record-look-ups.ts), however many, do not make it older; the look-ups share the others.
 */
import type { Db, ObjectId, WithId } from 'mongodb';
import type { Write } from './envelope.ts';
import { type Bounds, withinDeadline } from './mongo-deadline.ts';
import { names } from './names.ts';
import { readModelCollection } from './read-model.ts';
import { createRecordLookUps } from './record-look-ups.ts';
import { createRefresher } from './refresher.ts';

/** Under the promised second, so that a load's own time fits in as well. */
const refreshIntervalMs = 800;

/** At most a twentieth of the time is spent in the database for the cache. */
const refreshTimeShareMax = 0.05;

/** The time of each background read. Long enough for a busy node, short enough that a stopped one is told from a slow one. */
const operationTimeoutMs = 2_000;

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
  /** Whether MongoDB answered the last background read; false before the first. */
  isAnswering(): boolean;
  /** @throws ApiError `overloaded` or `database_unavailable`, within 2 s. */
  findRecord(id: ObjectId): Promise<WithId<Write> | null>;
  /** The stored documents among `ids`, in their order. @throws as `findRecord`. */
  findRecords(ids: readonly ObjectId[]): Promise<WithId<Write>[]>;
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
  const lookUps = createRecordLookUps(records, { concurrency: options.concurrency - 1 });
  let isMetadataCountExact: boolean | undefined;
  let isAnswering = false;
  let cacheReadsActive = 0;
  let turn = 0;

  /**
   * The count from the collection's metadata costs nothing on a real mongod. SecantusDB names itself in
   * buildInfo and scans the collection for it, so there the writer's own total is taken.
   */
  async function countDocuments(writerTotal: number): Promise<number> {
    isMetadataCountExact ??= !(
      'secantusVersion' in (await read((bounds) => database.command({ buildInfo: 1 }, bounds)))
    );
    if (!isMetadataCountExact) return writerTotal;
    return read((bounds) => records.estimatedDocumentCount(bounds));
  }

  async function read<Value>(operation: (bounds: Bounds) => Promise<Value>): Promise<Value> {
    cacheReadsActive++;
    try {
      return await withinDeadline(operationTimeoutMs, operation);
    } finally {
      cacheReadsActive--;
    }
  }

  async function load(): Promise<Snapshot> {
    const model = await read((bounds) => readModel.findOne({ _id: 'records' }, bounds));
    const newestIds = model?.newestIds ?? [];
    const stored = await read((bounds) =>
      records.find({ _id: { $in: newestIds } }, { projection: { _id: 1 }, ...bounds }).toArray(),
    );
    const totalDocuments = await countDocuments(model?.total ?? 0);
    isAnswering = true;
    return { ids: stored.map((document) => document._id), totalDocuments };
  }

  const snapshot = createRefresher<Snapshot>({
    load,
    roundTrip: () => read((bounds) => database.command({ ping: 1 }, bounds)),
    roundTripsPerLoad: 3,
    intervalMs: refreshIntervalMs,
    timeShareMax: refreshTimeShareMax,
    onFailed(error) {
      isAnswering = false;
      options.onRefreshFailed?.(error);
    },
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
    isAnswering: () => isAnswering,
    findRecord: async (id) => (await lookUps.find([id]))[0] ?? null,
    findRecords: lookUps.find,
    operations() {
      const { active, waiting } = lookUps.operations();
      return { active: cacheReadsActive + active, waiting };
    },
    close: () => snapshot.close(),
  };
}
