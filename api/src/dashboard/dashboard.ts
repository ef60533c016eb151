/** The live dashboard: who watches, what they are shown, and the bursts that they may start. */
import { type Bursts, createBursts } from './burst.ts';
import { type CollectorOptions, createCollector } from './collector.ts';
import { createViewers, type Viewers } from './viewers.ts';

export interface Dashboard {
  viewers: Pick<Viewers, 'add'>;
  bursts: Pick<Bursts, 'start'>;
  /** 0: nobody may start any. */
  burstRequestsMax: number;
  close(): Promise<void>;
}

export function createDashboard(
  options: Omit<CollectorOptions, 'burst' | 'onFrame'> & { burstRequestsMax: number },
): Dashboard {
  const { burstRequestsMax, logger } = options;
  const bursts = createBursts({ requestsMax: burstRequestsMax, logger });
  const viewers: Viewers = createViewers({
    settings: { burstRequestsMax },
    onFirst: () => collector.start(),
    onLast: () => collector.stop(),
  });
  const collector = createCollector({ ...options, burst: bursts.latest, onFrame: viewers.send });
  return {
    viewers,
    bursts,
    burstRequestsMax,
    async close() {
      viewers.close();
      collector.stop();
      await bursts.close();
    },
  };
}
