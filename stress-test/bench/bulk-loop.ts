/**
 * Stores documents as fast as bulkWrite takes them, at a concurrency as the writer's, without a broker. Prints the
 * documents a second. Of 1,000,000 documents in batches of 1,000:
 *
 *   MONGODB_URI=mongodb://… node stress-test/bench/bulk-loop.ts 1000000 1000
 */
import { createWrites, type Write, writesPerRequest } from '@assessment/api/envelope';
import { createMongoClient, openDatabase } from '@assessment/api/mongo';
import { names } from '@assessment/api/names';
import { ObjectId } from 'mongodb';
import { configSchema } from '../../writer/src/config.ts';

const concurrency = configSchema.shape.WRITE_CONCURRENCY.parse(undefined);
/** Before the clock runs, so that the code is compiled. */
const warmWrites = 4_000;

const uri = process.env.MONGODB_URI ?? '';
const [count = 0, batchWrites = 0] = process.argv.slice(2).map(Number);
const batches = Math.ceil(count / batchWrites);
const mongo = createMongoClient(uri, { appName: 'bulk-loop', poolSizeMax: concurrency });
const records = openDatabase(mongo, uri).collection<Write>(names.collection);
const requests = batchWrites / writesPerRequest;
const documents = Array.from({ length: requests }, () => createWrites(new Date())).flat();

async function store(count: number): Promise<void> {
  let left = count;
  const lane = async () => {
    while (left-- > 0) {
      await records.bulkWrite(
        documents.map((document) => ({ insertOne: { document: { ...document, _id: new ObjectId() } } })),
        { ordered: false },
      );
    }
  };
  await Promise.all(Array.from({ length: concurrency }, lane));
}

await store(Math.ceil(warmWrites / batchWrites));
const start = performance.now();
await store(batches);
console.log((batches * batchWrites * 1_000) / (performance.now() - start));
await mongo.close();
