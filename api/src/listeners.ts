/**
 * The sockets on which a server accepts connections, all on one port.
 *
 * libuv (1.52, of Node 26) accepts one connection of a listening socket in each turn of the event loop. A busy server
 * has 20 to 100 turns a second, so of 10,000 users who come at once the last would be let in after minutes, long after
 * the kernel has begun to drop their handshakes. Linux spreads connections over several sockets that listen on one port
 * (SO_REUSEPORT), and each of them is accepted from in each turn. Elsewhere there is one.
 */
import { once } from 'node:events';
import { type AddressInfo, createServer, Server, type Socket } from 'node:net';

interface ListenersOptions {
  host: string;
  port: number;
  /** Connections that may wait to be accepted, of each socket. */
  backlog: number;
  /** Open connections of all sockets; over it a new one is closed at once. */
  connectionsMax: number;
  /** Sockets, and so connections accepted in one turn of the event loop. */
  acceptsPerTurn: number;
}

interface Listeners {
  port: number;
  /** Accepts no more and resolves when the last connection has ended; cuts none. */
  close(): Promise<void>;
}

/** @throws Error of `listen`, such as EADDRINUSE, also when whoever has the port would share it. */
export async function openListeners(server: Server, options: ListenersOptions): Promise<Listeners> {
  const isShared = options.acceptsPerTurn > 1 && process.platform === 'linux';
  const port = isShared ? await findPort(options) : options.port;
  const others = Array.from({ length: isShared ? options.acceptsPerTurn - 1 : 0 }, () =>
    // As node:http creates its own.
    createServer({ allowHalfOpen: true, noDelay: true }, (socket) => server.emit('connection', socket)),
  );
  const listeners = [server, ...others];
  let open = 0;
  server.on('connection', (socket: Socket) => {
    open++;
    socket.once('close', () => open--);
  });
  // Each compares it with its own connections alone.
  const isFull = { get: () => (open >= options.connectionsMax ? 0 : Number.POSITIVE_INFINITY) };
  for (const listener of listeners) {
    Object.defineProperty(listener, 'maxConnections', isFull);
    listener.listen({ host: options.host, port, backlog: options.backlog, reusePort: isShared });
  }
  await Promise.all(listeners.map((listener) => once(listener, 'listening')));
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      const closed = listeners.map((listener) => once(listener, 'close'));
      // http's own close() would also cut idle connections at once, on which a request may be on its way.
      for (const listener of listeners) Server.prototype.close.call(listener);
      await Promise.all(closed);
    },
  };
}

/** One that nobody listens on, in a way in which a socket that shares its port counts as well. */
async function findPort({ host, port }: ListenersOptions): Promise<number> {
  const alone = createServer().listen({ host, port });
  await once(alone, 'listening');
  const found = (alone.address() as AddressInfo).port;
  alone.close();
  await once(alone, 'close');
  return found;
}
