/**
 * The bound on requests in flight, in front of everything else, so that a refusal costs as little as
 * possible. What is `uncounted` has to answer under any load: health, metrics and the dashboard.
 *
 * A request is `waiting` → `under way` → answered, or refused at once when `inFlightMax` are in flight. Those that
 * wait are begun in the order of their arrival, for a slice of each turn of the event loop. In between the sockets
 * are read, so what is over the bound hears of it within a turn or two, and nobody waits unseen in a socket while
 * others are answered again and again. Without load a request is begun in the turn in which it arrived.
 *
 * A client that is refused and comes again before its `Retry-After` is over loses its connection. With a thousand and
 * more of those the event loop would never be done with reading (libuv goes on for up to 48 × 1,024 sockets that have
 * something), and nothing would be begun or confirmed; a new connection waits to be accepted, 64 in a turn.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { setImmediate } from 'node:timers';
import { onEnd } from './answer-end.ts';
import { ApiError } from './errors.ts';
import { refusalHeaders } from './refusal.ts';

export interface Admission {
  listener: RequestListener;
  inFlight(): number;
  /** From now on every answer closes its connection, so that clients go elsewhere. */
  drain(): void;
}

export interface AdmissionOptions {
  inFlightMax: number;
  /** By the exact path, before a query: in any other spelling a request counts, wherever it is routed to. */
  uncounted: ReadonlySet<string>;
  /** Told of each that counts, before it is taken or refused. */
  onRequest?: () => void;
  onRefused?: (error: ApiError) => void;
}

const overloaded = new ApiError('overloaded', 'Too many requests are in flight. Try again.');
/** In one array, which node:http takes as it is: of a refusal nothing is made anew. */
const overloadedHeaders = Object.entries(refusalHeaders(overloaded)).flat();
const closingHeaders = [...overloadedHeaders, 'Connection', 'close'];
const retryAfterMs = (overloaded.retryAfterSeconds ?? 0) * 1_000;

const refusedAt = Symbol('when a request of this connection was refused, by performance.now()');

interface RefusedSocket extends Socket {
  [refusedAt]?: number;
}

/** Whether a connection that is refused now has been told to come later than this. */
function isEarly(socket: RefusedSocket): boolean {
  const now = performance.now();
  const last = socket[refusedAt];
  socket[refusedAt] = now;
  return last !== undefined && now - last < retryAfterMs;
}

/**
 * A slice is as long as what came before it, so that refusals take at most half of the time, within these bounds: long
 * enough that reading in between costs little, short enough that a turn, with the answers to what was confirmed, takes
 * some 30 ms: with 5 to 15 ms a refusal took 86 ms in the median, and 280 ms at the 99th percentile.
 */
const sliceMs = { min: 2, max: 5 } as const;

export function createAdmission(next: RequestListener, options: AdmissionOptions): Admission {
  let inFlight = 0;
  let isDraining = false;
  /** In the order of their arrival: the rest of `beginning`, then `waiting`. Bounded by `inFlightMax`. */
  let beginning: (ServerResponse | undefined)[] = [];
  let begun = 0;
  let waiting: ServerResponse[] = [];
  let isScheduled = false;
  let sliceEndedAt = 0;

  function leave() {
    inFlight--;
  }

  function schedule(): void {
    if (isScheduled) return;
    isScheduled = true;
    setImmediate(beginSlice);
  }

  function beginSlice(): void {
    isScheduled = false;
    const startedAt = performance.now();
    const endAt = startedAt + Math.min(sliceMs.max, Math.max(sliceMs.min, startedAt - sliceEndedAt));
    do beginNext();
    while (waitingCount() > 0 && performance.now() < endAt);
    sliceEndedAt = performance.now();
    if (waitingCount() > 0) schedule();
  }

  function waitingCount(): number {
    return beginning.length - begun + waiting.length;
  }

  function beginNext(): void {
    if (begun === beginning.length) {
      beginning = waiting;
      waiting = [];
      begun = 0;
    }
    const response = beginning[begun];
    // Left in its place it would be held until all of them have begun.
    beginning[begun++] = undefined;
    // A client that gave up meanwhile gets nothing written.
    if (response && !response.destroyed) next(response.req, response);
  }

  function listener(request: IncomingMessage, response: ServerResponse) {
    if (isDraining) response.setHeader('Connection', 'close');
    const { url = '' } = request;
    const queryAt = url.indexOf('?');
    if (options.uncounted.has(queryAt === -1 ? url : url.slice(0, queryAt))) {
      next(request, response);
      return;
    }
    options.onRequest?.();
    if (inFlight >= options.inFlightMax) {
      options.onRefused?.(overloaded);
      response.writeHead(overloaded.status, isEarly(request.socket) ? closingHeaders : overloadedHeaders);
      // As text it is one write with the headers; as bytes it would be a second, which costs as much as all the rest.
      response.end(overloaded.body, 'latin1');
      return;
    }
    inFlight++;
    onEnd(response, leave);
    waiting.push(response);
    schedule();
  }

  return {
    listener,
    inFlight: () => inFlight,
    drain() {
      isDraining = true;
    },
  };
}
