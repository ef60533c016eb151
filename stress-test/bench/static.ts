/**
 * What everything is compared with: Express with a JSON answer of the size of GET /api/data that costs it nothing,
 * set up as the api's own, and the readiness that the stress test asks for.
 *
 *   PORT=3000 node stress-test/bench/static.ts
 */
import express from 'express';

const ids = Array.from({ length: 5 }, (_, index) => `6b0451a8c7f286bc170a8f6${index}`);
const timestamp = new Date(0);
const answer = { status: 'success', reads: ids, writes: ids, timestamp };

const app = express();
app.disable('x-powered-by');
app.disable('etag');
app.set('query parser', false);
app.get('/api/data', (_request, response) => {
  response.json(answer);
});
app.get('/readyz', (_request, response) => {
  response.json({ status: 'ready', timestamp });
});
const port = Number(process.env.PORT);
app.listen({ port, host: '127.0.0.1', backlog: 4_096 }, (error) => {
  // Express calls back with what went wrong, too.
  if (error) throw error;
  console.log(`listening on ${port}`);
});
