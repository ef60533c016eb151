/** The HTTP server of every process: its limits on slow and idle clients, and how it closes. */
import { once } from 'node:events';
import {
  createServer,
  type RequestListener,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http';
import { type AddressInfo, Server as NetServer } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { ApiError, type FailureCode } from './errors.ts';

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

/** After the last connection is accepted, its request has this long to arrive before idle ones are closed. */
const lastRequestMs = 250;

/** As many connections may wait to be accepted as Linux allows by default (net.core.somaxconn). */
const backlog = 4_096;

/** @throws Error that names PORT when it is taken or not allowed. */
export async function listen(listener: RequestListener, options: ListenOptions): Promise<HttpServer> {
  const server = createServer(
    {
      headersTimeout: headersTimeoutMs,
      requestTimeout: requestTimeoutMs,
      keepAliveTimeout: keepAliveTimeoutMs,
      // Node's own answer would have no body.
      requireHostHeader: false,
    },
    (request, response) => {
      if (request.headers.host === undefined && request.httpVersion === '1.1') {
        refuse(response, new ApiError('invalid_request', 'Host: HTTP/1.1 wants this header.'));
      } else listener(request, response);
    },
  );
  server.on('checkExpectation', (_request, response: ServerResponse) => {
    refuse(response, new ApiError('expectation_failed', 'Expect: wants 100-continue, or nothing.'));
  });
  server.maxConnections = options.connectionsMax;
  const answering = countAnswers(server);
  server.on('clientError', (error, socket) => {
    // An answer that is under way is the only one that may be sent: the request may have been carried out.
    if (answering(socket) > 0) socket.destroy();
    else refuseConnection(error, socket);
  });
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
      // http's own close() would also cut idle connections at once, on which a request may be on its way.
      NetServer.prototype.close.call(server);
      await pause(lastRequestMs);
      // Again and again: a connection whose request is answered only now becomes idle only now.
      const sweep = setInterval(() => server.closeIdleConnections(), lastRequestMs);
      await closed;
      clearInterval(sweep);
    },
  };
}

/** The body that may follow is not read, so the connection ends. */
function refuse(response: ServerResponse, { status, body }: ApiError): void {
  response.writeHead(status, {
    connection: 'close',
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
  });
  response.end(body);
}

/** How many requests of a socket wait for their answer; with pipelining it may be several. */
function countAnswers(server: Server): (socket: Duplex) => number {
  const counts = new WeakMap<Duplex, number>();
  const add = (socket: Duplex, change: number) => counts.set(socket, (counts.get(socket) ?? 0) + change);
  server.on('request', ({ socket }, response) => {
    add(socket, 1);
    response.once('close', () => add(socket, -1));
  });
  return (socket) => counts.get(socket) ?? 0;
}

/** What Node's parser could not read, or waited for too long; there is no request to answer, only a socket. */
const connectionFailures: Record<string, [FailureCode, string]> = {
  HPE_HEADER_OVERFLOW: ['headers_too_large', 'The headers want at most 16 KiB.'],
  ERR_HTTP_REQUEST_TIMEOUT: ['request_timeout', 'The request did not arrive in time.'],
};

function refuseConnection(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const [code, message] = connectionFailures[error.code ?? ''] ?? [
    'invalid_request',
    'This is not HTTP/1.1.',
  ];
  const { status, body } = new ApiError(code, message);
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\n` +
      `Content-Type: application/json; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}
