/** The push front: a pusher for every subscription that has an endpoint, from the start on and with every change. */
import { isDeepStrictEqual } from 'node:util';
import type { Broker } from '../broker/broker.ts';
import { Pusher } from './pusher.ts';

export interface PushFront {
  /** Pushes nothing more. Resolves when what was under way is answered, or was cut off after `graceMs`. */
  close(graceMs: number): Promise<void>;
}

export function createPushFront(broker: Broker): PushFront {
  const pushers = new Map<number, Pusher>();
  let isClosed = false;

  function follow(number: number): void {
    const subscription = broker.registry.subscriptionsByNumber.get(number);
    const { push, isDetached } = subscription?.settings ?? {};
    const wanted = isClosed || isDetached ? undefined : push;
    const current = pushers.get(number);
    if (isDeepStrictEqual(current?.settings, wanted)) return;
    void current?.close();
    pushers.delete(number);
    if (subscription && wanted) pushers.set(number, new Pusher(broker, subscription, wanted));
  }

  broker.watch((change) => {
    if (change.type === 'subscription' || change.type === 'subscription-deleted') follow(change.number);
  });
  for (const number of broker.registry.subscriptionsByNumber.keys()) follow(number);

  return {
    async close(graceMs) {
      isClosed = true;
      const all = [...pushers.values()];
      const timer = setTimeout(() => {
        for (const pusher of all) pusher.destroy();
      }, graceMs);
      await Promise.all(all.map((pusher) => pusher.close()));
      clearTimeout(timer);
    },
  };
}
