/** The api's settings: the only reader of its environment. */
import { z } from 'zod';
import { envelopeWritesMax } from './envelope.ts';
import { hostAndPort, integer, port, sharedVariables } from './environment.ts';

export const configSchema = z.object({
  ...sharedVariables,
  PORT: port(3000),
  /**
   * `direct` answers GET /api/data with five insertOne and five findOne, one after the other, as a service
   * without a broker would; `direct-by-filter` finds them by a filter instead of by `_id`. Both are here to be
   * measured against (SOLUTION.md), not to be run.
   */
  WRITE_PATH: z
    .enum(['pubsub', 'direct', 'direct-by-filter'], { error: 'wants pubsub, direct or direct-by-filter' })
    .default('pubsub'),
  /**
   * Unset, everybody who reaches the api may write. Set, GET /api/data and POST /api/records want it as a bearer
   * token. 32 characters of `openssl rand -hex 32` are 128 bits; 512 are far below the limit on headers.
   */
  API_TOKEN: z
    .string()
    .regex(/^(?=.{32,512}$)[A-Za-z0-9._~+/-]+=*$/, {
      error:
        'wants 32 to 512 letters, digits and . _ ~ + / - (= at the end), such as openssl rand -hex 32 prints',
    })
    .optional(),
  /**
   * Memory of all requests in flight, with their bodies and writes (budget.ts); what is over it gets 503. A request of
   * GET /api/data counts 16 kB: 10,000 users with one each, and a tenth on top for retries. The least holds a record of
   * the largest body, as text and as BSON.
   */
  REQUEST_BYTES_MAX: integer(168 * 1024 * 1024, { min: 4 * 1024 * 1024, max: 64 * 1024 * 1024 * 1024 }),
  /** Half of the stress test's client timeout of 10 s, so that a client always hears of it. */
  PUBLISH_TIMEOUT_MS: integer(5_000, { min: 100, max: 60_000 }),
  /** Publish calls under way at once; what arrives meanwhile shares the next envelope (publisher.ts). */
  PUBLISH_CONCURRENCY: integer(4, { min: 1, max: 1_000 }),
  /**
   * Between two publish calls, unless an envelope is full. At 2,000 requests a second 5 ms save a sixth of all CPU
   * against none, and 10 ms little more for 4 ms on every answer (SOLUTION.md).
   */
  PUBLISH_INTERVAL_MS: integer(5, { min: 0, max: 50 }),
  /** Writes of requests that share an envelope; 5 is one request an envelope, to be measured against. */
  ENVELOPE_WRITES_MAX: integer(envelopeWritesMax, { min: 1, max: envelopeWritesMax }),
  /**
   * Of MongoDB's 10 read tickets; the sum over all replicas has to stay within them. One place is the
   * cache's, the others are for look-ups.
   */
  READ_CONCURRENCY: integer(2, { min: 2, max: 10 }),
  /**
   * Sockets; over it a new connection is closed at once. Twice the users, at about 10 kB each. No part of
   * REQUEST_BYTES_MAX: connections that ask for nothing would take the room of those that do.
   */
  CONNECTIONS_MAX: integer(20_000, { min: 1, max: 1_000_000 }),
  /**
   * How long a drain goes on serving, with readiness already false and every answer closing its connection,
   * so that clients and load balancers go elsewhere before the port closes. In Kubernetes, where endpoints
   * take seconds to follow readiness, its manifest sets more.
   */
  DRAIN_DELAY_MS: integer(500, { min: 0, max: 60_000 }),
  /** How long a drain may take, after that delay, before the process gives up and exits 1. */
  DRAIN_TIMEOUT_MS: integer(20_000, { min: 100, max: 300_000 }),
  /**
   * Where the dashboard asks for the writer's /metrics; unset, it says that it does not watch the writer. A name
   * with several addresses, such as a headless Service, is several processes.
   */
  WRITER_METRICS_HOST: hostAndPort(),
  /** The same for the api's own processes; unset, the dashboard shows the one that it is served by. */
  API_METRICS_HOST: hostAndPort(),
  /** Requests that the dashboard's button may send at most; 0: there is none. `npm start` sets it. */
  BURST_REQUESTS_MAX: integer(0, { min: 0, max: 100_000 }),
});
