/** How every process reaches MongoDB. */
import { type Db, MongoClient } from 'mongodb';
import { withinDeadline } from './mongo-deadline.ts';
import { databaseName, optionNames, writeConcern } from './mongo-uri.ts';

/**
 * The longest silence on a connection while MongoDB owes an answer, and so the time of an operation without a deadline of
 * its own (mongo-deadline.ts): those of the writer, which are tried again. A slow node needs seconds for a bulkWrite. One
 * that is silent as a whole is noticed by the driver's heartbeat, within the 4 s of its interval and its time limit; then
 * the driver closes all connections.
 */
const socketTimeoutMs = 30_000;

/** For a server, for a connection of the pool, and for a new connection, in turn. */
const connectionTimeoutMs = 2_000;

/**
 * A client that connects when first used, so that a process starts and answers while MongoDB is away.
 * Retries are the callers' own, unless the URI asks the driver for them: a standalone node takes no retryable writes, and
 * ids made beforehand make any insert safe to repeat.
 */
export function createMongoClient(
  uri: string,
  options: { appName: string; poolSizeMax: number },
): MongoClient {
  const given = optionNames(uri);
  const client = new MongoClient(uri, {
    appName: options.appName,
    maxPoolSize: options.poolSizeMax,
    ...(!given.has('retrywrites') && { retryWrites: false }),
    ...(!given.has('retryreads') && { retryReads: false }),
    writeConcern: writeConcern(uri),
    serverSelectionTimeoutMS: connectionTimeoutMs,
    waitQueueTimeoutMS: connectionTimeoutMs,
    connectTimeoutMS: connectionTimeoutMs,
    heartbeatFrequencyMS: 2_000,
    socketTimeoutMS: socketTimeoutMs,
  });
  // When its very first connection fails the driver closes its topology, keeps it, and refuses every later
  // operation with "Topology is closed". Without that topology the next operation connects anew.
  client.on('topologyClosed', () => {
    Object.assign(client, { topology: undefined });
  });
  return client;
}

export function openDatabase(client: MongoClient, uri: string): Db {
  return client.db(databaseName(uri));
}

/** Closing tells MongoDB which sessions end. A MongoDB that does not answer is waited for this long. */
const closeTimeoutMs = 1_000;

export async function closeMongoClient(client: MongoClient): Promise<void> {
  await withinDeadline(closeTimeoutMs, () => client.close()).catch(() => {});
}

/** @throws Error when MongoDB does not answer within `timeMsMax`. */
export async function ping(database: Db, timeMsMax: number): Promise<void> {
  await withinDeadline(timeMsMax, (bounds) => database.command({ ping: 1 }, bounds));
}
