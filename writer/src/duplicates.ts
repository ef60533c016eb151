/**
 * Decides by what is stored whether a document with a duplicate key is.
 *
 * Ids made of the time are made once, so a stored one is the redelivery of this write, and where MongoDB's message names
 * the `_id` nothing has to be read. Ids made of an Idempotency-Key may come twice with different bodies, when two
 * processes take the key at the same moment: what is stored is compared with what was sent.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Write } from '@assessment/api/envelope';
import { isKeyedId } from '@assessment/api/idempotency-key';
import { BSON, type Collection } from 'mongodb';

/** `missing`: its `_id` is not stored, so another unique key refused it. */
export type Duplicate = 'stored' | 'missing' | 'different';

/**
 * Two reads at most, however many writes. Of documents with keyed ids the memory holds one reply of MongoDB's at a time,
 * at most 16 MiB; of the others ids alone.
 * @returns one for each of `writes`
 * @throws what the driver throws
 */
export async function lookUpDuplicates(
  records: Collection<Write>,
  writes: readonly Write[],
): Promise<Duplicate[]> {
  const found = new Map<Write, Duplicate>();

  async function read(
    asked: Write[],
    projection: Record<string, 1>,
    judge: (stored: Write, write: Write) => Duplicate,
  ): Promise<void> {
    if (asked.length === 0) return;
    const byId = Map.groupBy(asked, ({ _id }) => _id.toHexString());
    const cursor = records.find(
      { _id: { $in: asked.map(({ _id }) => _id) } },
      // Of a secondary it might not be there yet. One batch where it fits a reply.
      { projection, readPreference: 'primary', batchSize: asked.length + 1 },
    );
    for await (const stored of cursor) {
      for (const write of byId.get(stored._id.toHexString()) ?? []) found.set(write, judge(stored, write));
    }
  }

  const keyed = writes.filter(({ _id }) => isKeyedId(_id));
  await read(
    writes.filter(({ _id }) => !isKeyedId(_id)),
    { _id: 1 },
    () => 'stored',
  );
  await read(keyed, { type: 1, index: 1, document: 1 }, (stored, write) =>
    isDeepStrictEqual(contentOf(stored), contentOf(write)) ? 'stored' : 'different',
  );
  return writes.map((write) => found.get(write) ?? 'missing');
}

/**
 * What a repeated request sends again: not its time, nor the random payload of GET /api/data. As BSON reads it, so that
 * a number which was held in another type on its way is the same number.
 */
function contentOf(write: Write): unknown {
  const { type } = write;
  const content = type === 'write' ? { type, index: write.index } : { type, document: write.document };
  return BSON.deserialize(BSON.serialize(content, { ignoreUndefined: false }));
}
