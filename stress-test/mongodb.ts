/** The MongoDB that is audited, as MONGODB_URI names it. */
import { readEnvironment, sharedVariables } from '@assessment/api/environment';
import { createMongoClient, openDatabase } from '@assessment/api/mongo';
import type { Db, MongoClient } from 'mongodb';
import { z } from 'zod';
import { NotJudged } from './run.ts';

/** @throws NotJudged when it does not answer, InvalidEnvironment. */
export async function openMongoDb(): Promise<{ mongo: MongoClient; database: Db }> {
  const config = readEnvironment(z.object({ MONGODB_URI: sharedVariables.MONGODB_URI }), process.env);
  const mongo = createMongoClient(config.MONGODB_URI, { appName: 'audit', poolSizeMax: 1 });
  try {
    await mongo.db().command({ ping: 1 }, { timeoutMS: 5_000 });
    return { mongo, database: openDatabase(mongo, config.MONGODB_URI) };
  } catch (cause) {
    await mongo.close();
    throw new NotJudged('MongoDB does not answer; MONGODB_URI says where it is', { cause });
  }
}
