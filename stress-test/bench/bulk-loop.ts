/**
 * Stores documents as fast as bulkWrite takes them, in batches and at a concurrency as the writer's, without a broker.
 * Prints the documents a second.
 *
 *   MONGODB_URI=mongodb://… node stress-test/bench/bulk-loop.ts 1000000
 */
import { createWrites, type Write } from '@assessment/api/envelope';
import { names } from '@assessment/api/environment';
import { createMongoClient, openDatabase } from '@assessment/api/mongo';
import { ObjectId } from 'mongodb';

const batchWrites = 1_000;
const concurrency = 2;
/** Before the clock runs, so that the code is compiled. */
const warmBatches = 4;

const uri = process.env.MONGODB_URI ?? '';
const batches = Math.ceil(Number(process.argv[2]) / batchWrites);
const mongo = createMongoClient(uri, { appName: 'bulk-loop', poolSizeMax: concurrency });
const records = openDatabase(mongo, uri).collection<Write>(names.collection);
const documents = Array.from({ length: batchWrites / 5 }, () => createWrites(new Date())).flat();

async function store(count: number): Promise<void> {
  let left = count;
  const lane = async () => {
    while (left-- > 0) {
      await records.bulkWrite(
        documents.map((document) => ({ insertOne: { document: { ...document, _id: new ObjectId() } } })),
        { ordered: false, writeConcern: { w: 1, journal: true } },
      );
    }
  };
  await Promise.all(Array.from({ length: concurrency }, lane));
}

await store(warmBatches);
const start = performance.now();
await store(batches);
console.log((batches * batchWrites * 1_000) / (performance.now() - start));
await mongo.close();
