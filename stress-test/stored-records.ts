/** What the audit asks MongoDB: one operation at a time, each bounded in what it reads. */
import type { Write } from '@assessment/api/envelope';
import { withinDeadline } from '@assessment/api/mongo-deadline';
import { names } from '@assessment/api/names';
import { type Db, ObjectId } from 'mongodb';

/** A second of a node's most, 36,000 documents, is counted in a tenth of this even by a slow server. */
const operationTimeoutMs = 10_000;

/** The ids of keys begin with a bit that the seconds of other ids have from 2038 on (the api's idempotency-key.ts). */
const keyedFrom = ObjectId.createFromTime(0x80000000);

export interface StoredRecords {
  /** Those of `ids` that are stored. */
  findStored(ids: string[]): Promise<Set<string>>;
  /**
   * Documents whose ids were made in the second `first` (Unix time) or later, however late, without those of
   * `countKeyed`. Up to `last` they are counted second by second, because a server may have to read what it counts.
   */
  countFrom(first: number, last: number): Promise<number>;
  /** Documents whose ids were made of idempotency keys, in whichever run. */
  countKeyed(): Promise<number>;
}

export function createStoredRecords(database: Db): StoredRecords {
  const records = database.collection<Write>(names.collection);

  function count(range: { $gte: ObjectId; $lt?: ObjectId }): Promise<number> {
    return withinDeadline(operationTimeoutMs, (bounds) => records.countDocuments({ _id: range }, bounds));
  }

  return {
    async findStored(ids) {
      const filter = { _id: { $in: ids.map((id) => new ObjectId(id)) } };
      const stored = await withinDeadline(operationTimeoutMs, (bounds) =>
        records.find(filter, { projection: { _id: 1 }, ...bounds }).toArray(),
      );
      return new Set(stored.map(({ _id }) => _id.toHexString()));
    },
    async countFrom(first, last) {
      let total = 0;
      let from = ObjectId.createFromTime(first);
      for (let second = first; second <= last; second++) {
        const to = ObjectId.createFromTime(second + 1);
        total += await count({ $gte: from, $lt: to });
        from = to;
      }
      return total + (await count({ $gte: from, $lt: keyedFrom }));
    },
    countKeyed: () => count({ $gte: keyedFrom }),
  };
}
