/** The rows, in their order, and what stands over each. */
import { formatCount } from '../../command-line/count.ts';
import { full, type Scale } from './scale.ts';

export function createTitles(scale: Scale) {
  const [users, backlog, rate] = [scale.users, scale.backlogWrites, scale.fixedRate].map(formatCount);
  return {
    steady: 'GET /api/data, 256 connections, everything stored as fast as it comes',
    users: `${users} connections without think time, for ${scale.usersSeconds} s`,
    assessment: `The assessment’s script in k6, ${scale.k6Load}`,
    think: `The same with ${scale.thinkSeconds} s between an answer and a user’s next request`,
    drain: `A backlog of ${backlog} documents, on the same MongoDB as a bare bulkWrite loop of batches of 2,000`,
    direct: 'GET /api/data, 100 connections, beside ten round trips to MongoDB a request',
    brokers: 'The whole system, 256 connections, on two brokers',
    latency: `${rate} requests a second, one of each of ${rate} users`,
    scaling: 'More processes, larger documents, a larger collection; 256 connections',
  };
}

export type RowName = keyof ReturnType<typeof createTitles>;
export const rowNames = Object.keys(createTitles(full)) as RowName[];
