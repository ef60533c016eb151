/**
 * A burst of GET /api/data that is started from the page, on the local stack only (BURST_REQUESTS_MAX).
 * It runs in a thread of its own, so that the latencies shown are the server's.
 */
import { Worker } from 'node:worker_threads';
import { ApiError } from '../errors.ts';
import type { Logger } from '../log.ts';

/** Its requests and what became of them so far; failed is everything but an answer with 200 that came whole. */
export interface Burst {
  requests: number;
  answered: number;
  failed: number;
}

export interface Bursts {
  /** @throws ApiError `invalid_request`, `burst_running`. */
  start(requests: unknown, url: string): void;
  /** The one under way, or the last one for as long as it is news. */
  latest(): Burst | null;
  close(): Promise<void>;
}

const thread = new URL('./burst-thread.ts', import.meta.url);

/** Its last figures are shown for so long. */
const newsMs = 10_000;

export function createBursts({ requestsMax, logger }: { requestsMax: number; logger: Logger }): Bursts {
  let worker: Worker | undefined;
  let latest: Burst | null = null;
  let endedAt = 0;

  return {
    start(requests, url) {
      if (!Number.isInteger(requests) || Number(requests) < 1 || Number(requests) > requestsMax) {
        throw new ApiError('invalid_request', `requests: wants a whole number from 1 to ${requestsMax}.`);
      }
      if (worker) throw new ApiError('burst_running', 'A burst is under way. Try again when it has ended.');
      latest = { requests: Number(requests), answered: 0, failed: 0 };
      worker = new Worker(thread, { workerData: { url, requests } });
      worker.on('message', (burst: Burst) => {
        latest = burst;
      });
      worker.on('error', (error) => logger.error({ err: error }, 'a burst broke off'));
      worker.once('exit', () => {
        worker = undefined;
        // With what a thread that broke off did not come to.
        if (latest) latest = { ...latest, failed: latest.requests - latest.answered };
        endedAt = performance.now();
      });
    },
    latest: () => (worker || performance.now() - endedAt < newsMs ? latest : null),
    async close() {
      await worker?.terminate();
    },
  };
}
