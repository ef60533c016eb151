/**
 * One port for gRPC and HTTP/1: the first bytes of a connection say which it is. HTTP/2 begins with `PRI `, which no
 * HTTP/1 method does (RFC 9113, 3.4). The bytes are put back, and the socket is handed on.
 */
import { once } from 'node:events';
import type { Server as HttpServer } from 'node:http';
import { type AddressInfo, createServer, isIP, type Server, type Socket } from 'node:net';

export interface PortOptions {
  host: string;
  port: number;
  /** Takes a connection that speaks HTTP/2. */
  onHttp2: (socket: Socket) => void;
  http: HttpServer;
}

export interface Port {
  host: string;
  port: number;
  /** Accepts no more connections. Those that were handed on stay open. */
  close(): void;
}

/** A client that says nothing has this long. */
const silenceMsMax = 10_000;
/**
 * A connection on which nothing comes for so long is probed by TCP, ten times in 10 s, and closed when nobody answers
 * (https://nodejs.org/api/net.html#socketsetkeepaliveenable-initialdelay). For a Pull that waits over HTTP/1; HTTP/2
 * asks by itself, the program and not only its machine (grpc/connections.ts).
 */
const keepAliveMs = 30_000;
/** About 20 kB each; over it a new connection is closed at once. */
const connectionsMax = 10_000;
const backlog = 1_024;
const freePortAttempts = 10;
const preface = Buffer.from('PRI');

/** @throws Error that names the address when it is taken or not allowed. */
export async function openPort(options: PortOptions): Promise<Port> {
  /** Those that have not said yet what they speak. */
  const undecided = new Set<Socket>();
  let openCount = 0;
  const onSocket = (socket: Socket) => {
    if (openCount >= connectionsMax) {
      socket.destroy();
      return;
    }
    openCount++;
    socket.on('close', () => openCount--);
    accept(socket, options, undecided);
  };
  const servers = await listenOnAll(options, onSocket);
  // The HTTP server does not listen itself; without this it would neither keep its time limits nor know its connections.
  options.http.emit('listening');
  const { address, port } = servers[0].address() as AddressInfo;
  const close = () => {
    for (const server of servers) server.close();
    for (const socket of undecided) socket.destroy();
  };
  return { host: address, port, close };
}

/** One server for each address that the host has, all on one port. */
async function listenOnAll(
  { host, port }: PortOptions,
  onSocket: (socket: Socket) => void,
): Promise<[Server, ...Server[]]> {
  const addresses = await addressesOf(host);
  for (let attempt = 1; ; attempt++) {
    const servers: Server[] = [];
    let failure: unknown;
    for (const address of addresses) {
      const shared = (servers[0]?.address() as AddressInfo | undefined)?.port ?? port;
      try {
        servers.push(await listen(address, shared, onSocket));
      } catch (cause) {
        failure = cause;
        if (isTaken(cause)) break;
      }
    }
    // Without IPv6 an address of it is left out.
    const [first, ...others] = servers;
    if (first && !isTaken(failure)) return [first, ...others];
    for (const server of servers) server.close();
    // The port that was free at one address may be taken at the next.
    if (port === 0 && isTaken(failure) && attempt < freePortAttempts) continue;
    const why = isTaken(failure)
      ? 'is taken by another process'
      : `cannot be listened on (${(failure as NodeJS.ErrnoException).code})`;
    throw new Error(`${host}:${port} ${why}. Choose another --host-port.`, { cause: failure });
  }
}

async function listen(host: string, port: number, onSocket: (socket: Socket) => void): Promise<Server> {
  const server = createServer(
    { noDelay: true, keepAlive: true, keepAliveInitialDelay: keepAliveMs },
    onSocket,
  );
  server.listen({ host, port, backlog });
  await once(server, 'listening');
  return server;
}

function isTaken(error: unknown): boolean {
  return (error as NodeJS.ErrnoException | undefined)?.code === 'EADDRINUSE';
}

/**
 * A client of `localhost` may try either family first, or only one, whichever comes first in the hosts file here:
 * https://www.rfc-editor.org/rfc/rfc6761#section-6.3
 */
async function addressesOf(host: string): Promise<string[]> {
  if (isIP(host) !== 0) return [host];
  if (host === 'localhost') return ['127.0.0.1', '::1'];
  const { lookup } = await import('node:dns/promises');
  try {
    return [...new Set((await lookup(host, { all: true })).map(({ address }) => address))];
  } catch (cause) {
    throw new Error(`${host} has no address. Choose another --host-port.`, { cause });
  }
}

function accept(socket: Socket, { onHttp2, http }: PortOptions, undecided: Set<Socket>): void {
  undecided.add(socket);
  socket.on('close', () => undecided.delete(socket));
  socket.setTimeout(silenceMsMax, () => socket.destroy());
  const destroy = () => socket.destroy();
  socket.on('error', destroy);
  let seen: Buffer = Buffer.alloc(0);
  const look = () => {
    const bytes: Buffer | null = socket.read();
    if (bytes === null) return; // closed, or nothing yet
    // Put back only once it is decided: what is put back is readable again at once.
    seen = seen.length === 0 ? bytes : Buffer.concat([seen, bytes]);
    if (seen.length < preface.length && preface.subarray(0, seen.length).equals(seen)) return;
    undecided.delete(socket);
    socket.off('readable', look);
    socket.off('error', destroy);
    socket.setTimeout(0);
    socket.removeAllListeners('timeout');
    socket.unshift(seen);
    if (seen.subarray(0, preface.length).equals(preface)) onHttp2(socket);
    else http.emit('connection', socket);
  };
  socket.on('readable', look);
}
