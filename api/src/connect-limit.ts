/**
 * How long a TCP connection of this process may take to come about.
 *
 * gRPC's client has no limit of its own. When a pod is deleted, its Service goes on leading to the dead address
 * for a second; a connection begun then is never answered, the kernel keeps trying that address for 2 minutes,
 * and until then the client has no other: on a real cluster the api answered 503 for so long after an emulator
 * that was back in 4 s. A new attempt is led to the new pod.
 */
import { subscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';

/** Three tries of the kernel's, at 0, 1 and 3 s, have been made by then. */
const connectMsMax = 3_500;

let isLimited = false;

/** For all connections from now on, whoever makes them; a second call changes nothing. */
export function limitConnectTime(msMax: number = connectMsMax): void {
  if (isLimited) return;
  isLimited = true;
  subscribe('net.client.socket', (message) => {
    const { socket } = message as { socket: Socket };
    const timer = setTimeout(() => {
      socket.destroy(Object.assign(new Error(`no connection within ${msMax} ms`), { code: 'ETIMEDOUT' }));
    }, msMax);
    const stop = () => clearTimeout(timer);
    socket.once('connect', stop).once('close', stop);
    // The name is found: only now it begins.
    socket.once('lookup', () => timer.refresh());
  });
}
