/** What MongoDB tells of itself, as far as it does: a stand-in leaves some of it out. */
import type { Db } from 'mongodb';
import { z } from 'zod';
import { withinDeadline } from '../mongo-deadline.ts';

export interface MongoDbStatus {
  residentBytes: number | null;
  readTickets: number | null;
  writeTickets: number | null;
}

const askTimeoutMs = 2_000;

const tickets = z.object({ totalTickets: z.number() }).optional();

/** https://www.mongodb.com/docs/manual/reference/command/serverStatus/, of MongoDB 7.0 */
const statusSchema = z.object({
  /** In MiB. */
  mem: z.object({ resident: z.number() }).optional(),
  wiredTiger: z
    .object({ concurrentTransactions: z.object({ read: tickets, write: tickets }).optional() })
    .optional(),
});

/** @throws Error when MongoDB does not answer, or does not allow it. */
export async function readMongoDbStatus(database: Db): Promise<MongoDbStatus> {
  const answer = await withinDeadline(askTimeoutMs, (bounds) =>
    database.command({ serverStatus: 1, metrics: 0, locks: 0, repl: 0 }, bounds),
  );
  const { mem, wiredTiger } = statusSchema.parse(answer);
  return {
    residentBytes: mem ? mem.resident * 1024 * 1024 : null,
    readTickets: wiredTiger?.concurrentTransactions?.read?.totalTickets ?? null,
    writeTickets: wiredTiger?.concurrentTransactions?.write?.totalTickets ?? null,
  };
}
