/** When a request arrived: on a busy process long before it is begun (admission.ts). */
import type { IncomingMessage } from 'node:http';

const arrivedAt = Symbol('when it arrived, by performance.now()');

interface ArrivedRequest extends IncomingMessage {
  [arrivedAt]?: number;
}

/** Called once its headers are read. */
export function noteArrival(request: ArrivedRequest): void {
  request[arrivedAt] = performance.now();
}

/** By performance.now(). @throws Error for a request that did not come through server.ts. */
export function arrivalOf(request: ArrivedRequest): number {
  const at = request[arrivedAt];
  if (at === undefined) throw new Error('the request did not come through the server');
  return at;
}
