/**
 * A TCP proxy between two parts, that breaks what it is told to: `open` → `cut`, `slow`, `silent` or `mute` → `open`.
 *
 * cut: all connections but the silent are reset, and new ones as soon as they are there. slow: what is on its way, in
 * either direction, waits before it goes on, one chunk of at most 64 KiB after the other, so it is slow in time and in
 * bytes. A connection holds two chunks at most; what is more waits in the sender.
 *
 * silent: nothing passes in either direction and nothing is closed, as when a firewall drops packets. Neither side hears
 * of the other again, not even of its end. These connections stay silent after `open` too, as after a firewall that lost
 * its state; new ones work. mute: the same from server to client alone, so that the server carries out what it is sent and
 * the client never hears of it.
 *
 * A connection that is made while the link is silent is accepted and silent for ever. Where a firewall drops the first
 * packet (SYN) there would be no connection, which ends by the client's own limit on connecting. Accepted is the harder
 * case: only what waits for an answer notices. The kernel at this end acknowledges what is sent, so neither TCP's
 * retransmission limit nor its keepalive notices either.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

/** Sees all bytes of one direction of a connection; what it yields goes on in their place. */
type Interposer = (chunks: AsyncIterable<Buffer>) => AsyncIterable<Buffer>;

export interface Connection {
  toServer: Interposer;
  toClient: Interposer;
}

export interface Link {
  port: number;
  cut(): void;
  slow(delayMs: number): void;
  silence(): void;
  mute(): void;
  /** As it was, for new connections and those that are not silent or mute. */
  open(): void;
  close(): Promise<void>;
}

export interface LinkOptions {
  /** For each new connection. `reset` ends it. */
  interpose?: (reset: () => void) => Connection;
}

/** What passes on a connection. Less may pass later, and never more. */
interface Ways {
  toServer: boolean;
  toClient: boolean;
}

export async function createLink(targetPort: number, options: LinkOptions = {}): Promise<Link> {
  let isCut = false;
  let delayMs = 0;
  /** Of new connections. */
  let ways: Ways = { toServer: true, toClient: true };
  const connections = new Map<() => void, Ways>();

  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    if (isCut) {
      client.on('error', () => {}).resetAndDestroy();
      return;
    }
    const passing = { ...ways };
    // Of what is dropped the server hears nothing.
    const target = passing.toServer
      ? connect({ port: targetPort, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
      : undefined;
    const reset = () => {
      connections.delete(reset);
      client.resetAndDestroy();
      target?.resetAndDestroy();
    };
    connections.set(reset, passing);
    if (!target) return;
    const interposed = options.interpose?.(reset);
    Promise.all([
      pass(client, target, () => passing.toServer, interposed?.toServer),
      pass(target, client, () => passing.toClient, interposed?.toClient),
    ]).then(() => connections.delete(reset), reset);
  });

  /** Resolves at the end of `from`, rejects when that is reset; once nothing may pass any longer it does neither. */
  async function pass(
    from: Socket,
    to: Socket,
    mayPass: () => boolean,
    interpose: Interposer = (chunks) => chunks,
  ): Promise<void> {
    const { promise: isReset, reject } = Promise.withResolvers<never>();
    from.on('error', (error) => mayPass() && reject(error));
    async function copy(): Promise<void> {
      // Half a connection may end, and a silent one is left as it is.
      for await (const chunk of interpose(from.iterator({ destroyOnReturn: false }))) {
        if (delayMs > 0) await pause(delayMs);
        if (!mayPass()) break;
        // An error of `to` is passed on, or is not, by the other way.
        if (!to.write(chunk)) await once(to, 'drain').catch(forever);
      }
    }
    const copied = copy().catch((error) => {
      if (mayPass()) throw error;
    });
    await Promise.race([isReset, copied]);
    if (!mayPass()) await forever();
    to.end();
  }

  function restrict(restricted: Ways): void {
    ways = restricted;
    for (const passing of connections.values()) {
      passing.toServer &&= restricted.toServer;
      passing.toClient &&= restricted.toClient;
    }
  }

  function cut(): void {
    isCut = true;
    for (const [reset, { toServer }] of connections) if (toServer) reset();
  }

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    cut,
    slow(newDelayMs) {
      delayMs = newDelayMs;
    },
    silence: () => restrict({ toServer: false, toClient: false }),
    mute: () => restrict({ toServer: true, toClient: false }),
    open() {
      isCut = false;
      delayMs = 0;
      ways = { toServer: true, toClient: true };
    },
    async close() {
      cut();
      for (const reset of connections.keys()) reset();
      server.close();
      await once(server, 'close');
    },
  };
}

function forever(): Promise<never> {
  return new Promise(() => {});
}
