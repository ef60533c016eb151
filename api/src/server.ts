/** The HTTP server of every process: its limits on slow and idle clients, and how it closes. */
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ListenOptions {
  host: string;
  port: number;
  /** Open sockets; over it a new connection is closed at once. */
  connectionsMax: number;
}

export interface HttpServer {
  port: number;
  /** Accepts no more connections and resolves when the last answer is sent. */
  close(): Promise<void>;
}

/** A client has this long for its headers, and for its whole request. */
const headersTimeoutMs = 10_000;
const requestTimeoutMs = 30_000;

/** Longer than the 60 s after which common load balancers drop an idle connection. */
const keepAliveTimeoutMs = 65_000;

/** As many connections may wait to be accepted as Linux allows by default (net.core.somaxconn). */
const backlog = 4_096;

/** @throws Error that names PORT when it is taken or not allowed. */
export async function listen(listener: RequestListener, options: ListenOptions): Promise<HttpServer> {
  const server = createServer(
    {
      headersTimeout: headersTimeoutMs,
      requestTimeout: requestTimeoutMs,
      keepAliveTimeout: keepAliveTimeoutMs,
    },
    listener,
  );
  server.maxConnections = options.connectionsMax;
  server.listen({ host: options.host, port: options.port, backlog });
  try {
    await once(server, 'listening');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const why = code === 'EADDRINUSE' ? 'is taken by another process' : `cannot be listened on (${code})`;
    throw new Error(`PORT: ${options.host}:${options.port} ${why}; set HOST or PORT to another`, { cause });
  }
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      const closed = once(server, 'close');
      server.close();
      await closed;
    },
  };
}
