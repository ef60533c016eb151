/**
 * One port for gRPC and HTTP/1: the first bytes of a connection say which it is. HTTP/2 begins with `PRI `, which no
 * HTTP/1 method does (RFC 9113, 3.4). The bytes are put back, and the socket is handed on.
 */
import { once } from 'node:events';
import type { Server as HttpServer } from 'node:http';
import { type AddressInfo, createServer, type Socket } from 'node:net';

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
/** About 20 kB each; over it a new connection is closed at once. */
const connectionsMax = 10_000;
const backlog = 1_024;
const preface = Buffer.from('PRI');

/** @throws Error that names the address when it is taken or not allowed. */
export async function openPort(options: PortOptions): Promise<Port> {
  /** Those that have not said yet what they speak. */
  const undecided = new Set<Socket>();
  const server = createServer((socket) => accept(socket, options, undecided));
  server.maxConnections = connectionsMax;
  // The HTTP server does not listen itself; without this it would neither keep its time limits nor know its connections.
  server.once('listening', () => options.http.emit('listening'));
  server.listen({ host: options.host, port: options.port, backlog });
  try {
    await once(server, 'listening');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const why = code === 'EADDRINUSE' ? 'is taken by another process' : `cannot be listened on (${code})`;
    throw new Error(`${options.host}:${options.port} ${why}. Choose another --host-port.`, { cause });
  }
  const { address, port } = server.address() as AddressInfo;
  const close = () => {
    server.close();
    for (const socket of undecided) socket.destroy();
  };
  return { host: address, port, close };
}

function accept(socket: Socket, { onHttp2, http }: PortOptions, undecided: Set<Socket>): void {
  undecided.add(socket);
  socket.on('close', () => undecided.delete(socket));
  socket.setNoDelay(true);
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
