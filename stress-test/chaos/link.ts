/**
 * A TCP proxy between two parts, that breaks what it is told to: `open` → `cut` or `slow` → `open`.
 *
 * cut: all connections are reset, and new ones as soon as they are there. slow: what is on its way, in either direction,
 * waits before it goes on, one chunk of at most 64 KiB after the other, so it is slow in time and in bytes. A connection
 * holds two chunks at most; what is more waits in the sender.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';
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
  /** As it was. */
  open(): void;
  close(): Promise<void>;
}

export interface LinkOptions {
  /** For each new connection. `reset` ends it. */
  interpose?: (reset: () => void) => Connection;
}

export async function createLink(targetPort: number, options: LinkOptions = {}): Promise<Link> {
  let isCut = false;
  let delayMs = 0;
  const connections = new Set<() => void>();

  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    if (isCut) {
      client.on('error', () => {}).resetAndDestroy();
      return;
    }
    const target = connect({ port: targetPort, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    const reset = () => {
      connections.delete(reset);
      client.resetAndDestroy();
      target.resetAndDestroy();
    };
    connections.add(reset);
    const interposed = options.interpose?.(reset);
    const ways = [pass(client, target, interposed?.toServer), pass(target, client, interposed?.toClient)];
    // A reset of one side is passed on to the other.
    Promise.all(ways).then(() => connections.delete(reset), reset);
  });

  function pass(from: Socket, to: Socket, interpose: Interposer = (chunks) => chunks): Promise<void> {
    return pipeline(
      from,
      async function* (chunks: AsyncIterable<Buffer>) {
        for await (const chunk of interpose(chunks)) {
          if (delayMs > 0) await pause(delayMs);
          yield chunk;
        }
      },
      to,
    );
  }

  function cut(): void {
    isCut = true;
    for (const reset of connections) reset();
  }

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    cut,
    slow(newDelayMs) {
      delayMs = newDelayMs;
    },
    open() {
      isCut = false;
      delayMs = 0;
    },
    async close() {
      cut();
      server.close();
      await once(server, 'close');
    },
  };
}
