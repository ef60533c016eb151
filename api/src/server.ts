/** The HTTP server of every process: its limits on slow, idle and greedy clients, and how it closes. */
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { onEnd } from './answer-end.ts';
import { noteArrival } from './arrival.ts';
import { ApiError, draining, type FailureCode } from './errors.ts';
import { openListeners } from './listeners.ts';
import { bodyBytesMax } from './record-document.ts';
import { refusalHeaders, refuse } from './refusal.ts';
import { secure, securityLines } from './security-headers.ts';

export interface ListenOptions {
  host: string;
  port: number;
  /** Open sockets; over it a new connection is closed at once. */
  connectionsMax: number;
  /** Connections accepted in one turn of the event loop (listeners.ts); one without it. */
  acceptsPerTurn?: number;
  /** How long answers may take once the server closes; longer than any that is under way. */
  closeMs?: number;
  /** Told of each request that is refused before the listener sees it, also of what is no HTTP. */
  onRefused?: (code: FailureCode) => void;
  /** For tests, which have no time for the real ones. */
  timeouts?: Partial<typeof defaultTimeouts>;
}

export interface HttpServer {
  port: number;
  /**
   * Accepts no more connections and resolves when the last one has ended. A request that has not arrived within a second
   * or so is refused, and what is left after `closeMs` is cut: a client that sends slowly, or does not read, holds up
   * nothing.
   * @param refuseArrivals is called four times a second, to refuse requests whose bodies are still arriving.
   */
  close(refuseArrivals?: () => void): Promise<void>;
}

const defaultTimeouts = {
  /** A client has this long for its headers, from the connection on, and for its whole request. */
  headersMs: 10_000,
  requestMs: 30_000,
  /** How often both are looked at; with Node's default of 30 s they would be up to 40 and 60 s. */
  checkIntervalMs: 1_000,
  /**
   * A connection is given up when for so long nothing has come from it and nothing went to it: an answer that nobody
   * reads would hold its place among the requests in flight for ever. Longer than the longest publish timeout.
   */
  stalledMs: 65_000,
};

/** Browsers send about 20, and proxies add a few. Over it 431. */
const headersMax = 100;

/**
 * Requests of one connection that wait for their answers. HTTP clients send one at a time, and those that pipeline a
 * few; somebody who sends thousands and reads nothing would hold all places. Over it the connection is closed: a
 * refusal would have to wait behind the answers that are not read.
 */
const answersPerConnectionMax = 64;

/**
 * Of a body that may have to be read to its end so that the next request can follow, as large as any that is taken.
 * With a larger one, or one without a length, the connection ends with the answer, read or not.
 */
const followedBodyBytesMax = bodyBytesMax;

/** Longer than the 60 s after which common load balancers drop an idle connection. */
const keepAliveTimeoutMs = 65_000;

/**
 * After the last connection is accepted, its request has this long to arrive before idle ones are closed. One whose headers
 * or body are still on their way then is refused at the next look, `checkIntervalMs` later at most.
 */
const lastRequestMs = 250;

/** Twice the default of the longest answer, a publish that times out. */
const closeMsDefault = 10_000;

/** As many connections may wait to be accepted as Linux allows by default (net.core.somaxconn). */
const backlog = 4_096;

/** @throws Error that names PORT when it is taken or not allowed. */
export async function listen(listener: RequestListener, options: ListenOptions): Promise<HttpServer> {
  const { onRefused = () => {} } = options;
  const timeouts = { ...defaultTimeouts, ...options.timeouts };
  let isClosing = false;
  const server = createServer(
    {
      headersTimeout: timeouts.headersMs,
      requestTimeout: timeouts.requestMs,
      connectionsCheckingInterval: timeouts.checkIntervalMs,
      keepAliveTimeout: keepAliveTimeoutMs,
      // Node's own answer would have no body.
      requireHostHeader: false,
    },
    (request, response) => accept(request, response, listener, onRefused),
  );
  server.timeout = timeouts.stalledMs;
  server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
    const refuseIt = () => {
      const failure = new ApiError('expectation_failed', 'Expect: wants 100-continue, or nothing.');
      refuseLast(response, failure, onRefused);
    };
    accept(request, response, refuseIt, onRefused);
  });
  server.on('clientError', (error, socket: CountedSocket) => {
    // An answer that is under way is the only one that may be sent: the request may have been carried out.
    if ((socket[waiting] ?? 0) > 0) {
      // In a close the next request is late at once, and is no reason to take that answer away.
      if (!isClosing) socket.destroy();
    } else refuseConnection(error, socket, isClosing, onRefused);
  });
  const listeners = await openListeners(server, { acceptsPerTurn: 1, ...options, backlog }).catch((cause) => {
    const { code } = cause as NodeJS.ErrnoException;
    const why = code === 'EADDRINUSE' ? 'is taken by another process' : `cannot be listened on (${code})`;
    throw new Error(`PORT: ${options.host}:${options.port} ${why}; set HOST or PORT to another`, { cause });
  });
  return {
    port: listeners.port,
    async close(refuseArrivals) {
      const closed = listeners.close();
      await pause(lastRequestMs);
      isClosing = true;
      // Node compares each connection with them once in `checkIntervalMs`, and tells `clientError`.
      server.headersTimeout = lastRequestMs;
      server.requestTimeout = lastRequestMs;
      const look = () => {
        refuseArrivals?.();
        // Again and again: a connection whose request is answered only now becomes idle only now.
        server.closeIdleConnections();
      };
      look();
      const looking = setInterval(look, lastRequestMs);
      const cut = setTimeout(() => server.closeAllConnections(), options.closeMs ?? closeMsDefault);
      await closed;
      clearInterval(looking);
      clearTimeout(cut);
    },
  };
}

const waiting = Symbol('requests that wait for their answer');

interface CountedSocket extends Duplex {
  [waiting]?: number;
}

type OnRefused = NonNullable<ListenOptions['onRefused']>;

function accept(
  request: IncomingMessage,
  response: ServerResponse,
  listener: RequestListener,
  onRefused: OnRefused,
): void {
  const socket: CountedSocket = request.socket;
  const count = (socket[waiting] ?? 0) + 1;
  if (count > answersPerConnectionMax) {
    socket.destroy();
    return;
  }
  socket[waiting] = count;
  noteArrival(request);
  onEnd(response, leave);
  secure(response);
  const { headers } = request;
  if (headers.host === undefined && request.httpVersion === '1.1') {
    const failure = new ApiError('invalid_request', 'Host: HTTP/1.1 wants this header.');
    refuseLast(response, failure, onRefused);
  } else if (request.rawHeaders.length > 2 * headersMax) {
    const failure = new ApiError('headers_too_large', `The headers want at most ${headersMax} fields.`);
    refuseLast(response, failure, onRefused);
  } else {
    if (isLastOfConnection(request)) response.setHeader('Connection', 'close');
    listener(request, response);
    // What nobody reads would wait in memory, up to 128 KiB of each request, for as long as its answer takes.
    if (request.readableFlowing === null && hasBody(request)) request.resume();
  }
}

function leave({ req }: ServerResponse): void {
  const socket: CountedSocket = req.socket;
  socket[waiting] = (socket[waiting] ?? 1) - 1;
}

/** Whether one was announced. */
export function hasBody({ headers }: IncomingMessage): boolean {
  const length = headers['content-length'];
  return (length !== undefined && length !== '0') || headers['transfer-encoding'] !== undefined;
}

function isLastOfConnection({ headers }: IncomingMessage): boolean {
  const { 'transfer-encoding': encoding, 'content-length': length } = headers;
  return encoding !== undefined || (length !== undefined && Number(length) > followedBodyBytesMax);
}

/** The body that may follow is not read, so the connection ends. */
function refuseLast(response: ServerResponse, error: ApiError, onRefused: OnRefused): void {
  onRefused(error.code);
  response.setHeader('Connection', 'close');
  refuse(response, error);
}

/** What Node's parser could not read, or waited for too long; there is no request to answer, only a socket. */
const connectionFailures: Record<string, [FailureCode, string]> = {
  HPE_HEADER_OVERFLOW: ['headers_too_large', 'The headers want at most 16 KiB.'],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: ['payload_too_large', "The chunks' extensions want at most 16 KiB."],
  ERR_HTTP_REQUEST_TIMEOUT: ['request_timeout', 'The request did not arrive in time.'],
};

function failureOf(nodeCode = ''): ApiError {
  const [code, message] = connectionFailures[nodeCode] ?? ['invalid_request', 'This is not HTTP/1.1.'];
  return new ApiError(code, message);
}

function refuseConnection(
  error: NodeJS.ErrnoException,
  socket: Duplex,
  isClosing: boolean,
  onRefused: OnRefused,
): void {
  // A connection that a browser opened ahead and did not need is no request, late or not.
  const isUnused = (socket as Socket).bytesRead === 0;
  if (error.code === 'ECONNRESET' || !socket.writable || isUnused) {
    socket.destroy();
    return;
  }
  const failure = isClosing ? draining : failureOf(error.code);
  onRefused(failure.code);
  const { status, body } = failure;
  const lines = Object.entries(refusalHeaders(failure)).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\n${securityLines}${lines.join('')}\r\n${body}`,
  );
}
