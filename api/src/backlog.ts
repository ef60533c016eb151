/**
 * How many envelopes wait in the emulator's subscription, for GET /api/stats. The project's own emulator
 * tells it at a path of its own; Google's does not, and the real Pub/Sub tells it only to Cloud Monitoring.
 */
import { z } from 'zod';
import { names } from './names.ts';
import { createRefresher } from './refresher.ts';

const refreshIntervalMs = 1_000;
const askTimeoutMs = 1_000;

const answerSchema = z.object({
  subscriptions: z.array(z.object({ subscription: z.string(), unackedCount: z.number() })),
});

export interface Backlog {
  /** Envelopes confirmed and not yet acknowledged; null where it cannot be known, or not now. */
  pending(): number | null;
  close(): Promise<void>;
}

export function watchBacklog(config: {
  PUBSUB_EMULATOR_HOST?: string | undefined;
  PUBSUB_PROJECT_ID: string;
}): Backlog {
  const host = config.PUBSUB_EMULATOR_HOST;
  if (!host) return { pending: () => null, close: async () => {} };
  const subscription = `projects/${config.PUBSUB_PROJECT_ID}/subscriptions/${names.subscription}`;

  async function ask(): Promise<number | null> {
    try {
      const response = await fetch(`http://${host}/_emulator/backlog`, {
        signal: AbortSignal.timeout(askTimeoutMs),
      });
      if (!response.ok) return null;
      const { subscriptions } = answerSchema.parse(await response.json());
      return subscriptions.find((figures) => figures.subscription === subscription)?.unackedCount ?? null;
    } catch {
      return null;
    }
  }

  const refresher = createRefresher({
    load: ask,
    // The emulator keeps the figure, so what it takes is the way to it.
    roundTrip: async () => {},
    roundTripsPerLoad: 0,
    timeShareMax: 1,
    intervalMs: refreshIntervalMs,
  });
  return { pending: () => refresher.value() ?? null, close: refresher.close };
}
