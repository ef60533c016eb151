/** The rows, in their order, and what stands over each. */
export const titles = {
  steady: 'GET /api/data, 256 connections, everything stored as fast as it comes',
  users: '10,000 connections without think time, for a minute',
  assessment: 'The assessment’s script in k6, a tenth of each stage’s time, up to 10,000 users',
  think: 'The same with 10 s between an answer and a user’s next request',
  drain: 'A backlog of 1,000,000 documents, on the same MongoDB as a bare bulkWrite loop of batches of 2,000',
  direct: 'GET /api/data, 100 connections, beside ten round trips to MongoDB a request',
  brokers: 'The whole system, 256 connections, on two brokers',
  latency: '1,000 requests a second, one of each of 1,000 users',
  scaling: 'More processes, larger documents, a larger collection; 256 connections',
} as const;

export type RowName = keyof typeof titles;
export const rowNames = Object.keys(titles) as RowName[];
