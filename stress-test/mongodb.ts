/** The MongoDB that is audited, as MONGODB_URI names it. */
import { readEnvironment, sharedVariables } from '@assessment/api/environment';
import { closeMongoClient, createMongoClient, openDatabase, ping } from '@assessment/api/mongo';
import type { Db, MongoClient } from 'mongodb';
import { z } from 'zod';
import { NotJudged } from './run.ts';

/** @throws NotJudged when it does not answer, InvalidEnvironment. */
export async function openMongoDb(): Promise<{ mongo: MongoClient; database: Db }> {
  const config = readEnvironment(z.object({ MONGODB_URI: sharedVariables.MONGODB_URI }), process.env);
  const mongo = createMongoClient(config.MONGODB_URI, { appName: 'audit', poolSizeMax: 1 });
  try {
    const database = openDatabase(mongo, config.MONGODB_URI);
    await ping(database, 5_000);
    return { mongo, database };
  } catch (cause) {
    await closeMongoClient(mongo);
    throw new NotJudged('MongoDB does not answer; MONGODB_URI says where it is', { cause });
  }
}
