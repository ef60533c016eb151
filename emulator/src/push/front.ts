/** The push front: a pusher for every subscription that has an endpoint, from the start on and with every change. */
import { isDeepStrictEqual } from 'node:util';
import type { Broker } from '../broker/broker.ts';
import { SharedRoom } from '../broker/shared-room.ts';
import { Pusher } from './pusher.ts';

/**
 * Of all endpoints together, and a third more where it is base64. While slow ones have all of it the others wait: until one
 * answers, or its ack deadline passes.
 */
const underWayBytesMax = 64 * 1024 * 1024;

export interface PushFront {
  /** Pushes nothing more. Resolves when what was under way is answered, or was cut off after `graceMs`. */
  close(graceMs: number): Promise<void>;
}

export function createPushFront(broker: Broker): PushFront {
  const pushers = new Map<number, Pusher>();
  const room = new SharedRoom(underWayBytesMax);
  let isClosed = false;

  function follow(number: number): void {
    const subscription = broker.registry.subscriptionsByNumber.get(number);
    const { push, isDetached } = subscription?.settings ?? {};
    const wanted = isClosed || isDetached ? undefined : push;
    const current = pushers.get(number);
    if (isDeepStrictEqual(current?.settings, wanted)) return;
    void current?.close();
    pushers.delete(number);
    if (subscription && wanted) pushers.set(number, new Pusher({ broker, room }, subscription, wanted));
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
