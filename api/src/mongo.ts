/** How every process reaches MongoDB. */
import { type Db, MongoClient } from 'mongodb';
import { databaseName, writeConcern } from './mongo-uri.ts';

/** Long enough for a slow node's answer, short enough that a stopped one is noticed and tried again. */
const socketTimeoutMs = 30_000;

/**
 * A client that connects when first used, so that a process starts and answers while MongoDB is away.
 * Retries are the callers' own: a standalone node takes no retryable writes, and ids made beforehand make
 * any insert safe to repeat.
 */
export function createMongoClient(
  uri: string,
  options: { appName: string; poolSizeMax: number },
): MongoClient {
  const client = new MongoClient(uri, {
    appName: options.appName,
    maxPoolSize: options.poolSizeMax,
    retryWrites: false,
    retryReads: false,
    writeConcern: writeConcern(uri),
    serverSelectionTimeoutMS: 2_000,
    connectTimeoutMS: 2_000,
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
