/**
 * The bound on requests in flight, in front of everything else, so that a refusal costs as little as possible. What is
 * `uncounted` has to answer under any load: health, metrics and the dashboard.
 *
 * A request is `waiting` → `under way` → answered, or `refused` → answered, when the budget has no room for it. A turn of
 * the event loop reads the sockets, begins requests in the order of their arrival for a slice of time, and then answers
 * refusals for a quarter of what the turn has taken. So a client that is refused hears of it within a few turns, and
 * nobody waits unseen in a socket while others are answered again and again. Without load a request is begun in the turn
 * in which it arrived.
 *
 * A refusal is not answered where it is read. Clients that come again at once would keep the event loop reading (libuv goes
 * on for up to 48 × 1,024 sockets that have something), and nothing would be begun or confirmed. A client that waits for
 * its refusal sends nothing, so refusals come as fast as a slice allows, and no connection has to be closed: behind an
 * ingress it is shared by many users.
 *
 * A request with a body is begun where it is read, because what begins it reads the body: it would wait in the request,
 * where nobody counts it.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { setImmediate } from 'node:timers';
import { onEnd } from './answer-end.ts';
import { type Budget, overloaded, requestBytes } from './budget.ts';
import type { ApiError } from './errors.ts';
import { refusalHeaders } from './refusal.ts';
import { hasBody } from './server.ts';

export interface Admission {
  listener: RequestListener;
  inFlight(): number;
  /** From now on every answer closes its connection, so that clients go elsewhere. */
  drain(): void;
}

export interface AdmissionOptions {
  budget: Budget;
  /** Refused requests that wait for their answer, or for its reader. Over it their connection is closed. */
  refusalsMax: number;
  /** By the exact path, before a query: in any other spelling a request counts, wherever it is routed to. */
  uncounted: ReadonlySet<string>;
  /** Told of each that counts, before it is taken or refused. */
  onRequest?: () => void;
  onRefused?: (error: ApiError) => void;
}

/** In one array, which node:http takes as it is: of a refusal nothing is made anew. */
const overloadedHeaders = Object.entries(refusalHeaders(overloaded)).flat();

/**
 * A slice is as long as what came before it in the turn, within these bounds: long enough that reading in between costs
 * little, short enough that a turn, with the answers to what was confirmed, takes some 30 ms.
 */
const sliceMs = { min: 2, max: 5 } as const;

/**
 * Of the time since refusals were answered last. To read a request that is refused takes as long again as to answer it, so
 * refusals take half of the thread at most, and what is begun and confirmed the rest. With a half in place of the quarter
 * 2,411 requests/s were accepted instead of 4,709, of 8,000 clients that come again at once.
 */
const refusalShare = 1 / 4;
const refusalMsMin = 1;

/** In the order of their arrival. */
class Queue {
  #first: (ServerResponse | undefined)[] = [];
  #taken = 0;
  #last: ServerResponse[] = [];

  get length(): number {
    return this.#first.length - this.#taken + this.#last.length;
  }

  push(response: ServerResponse): void {
    this.#last.push(response);
  }

  /** Hands them to `use` until none is left or the time, by performance.now(), has come; one in any case. */
  drain(use: (response: ServerResponse) => void, endAt: number): void {
    while (this.length > 0) {
      if (this.#taken === this.#first.length) {
        this.#first = this.#last;
        this.#last = [];
        this.#taken = 0;
      }
      const response = this.#first[this.#taken];
      // Left in its place it would be held until all of them are taken.
      this.#first[this.#taken++] = undefined;
      // A client that gave up meanwhile gets nothing written.
      if (response && !response.destroyed) use(response);
      if (performance.now() >= endAt) return;
    }
  }
}

export function createAdmission(next: RequestListener, options: AdmissionOptions): Admission {
  const { budget } = options;
  let inFlight = 0;
  let refusals = 0;
  let isDraining = false;
  const waiting = new Queue();
  const refused = new Queue();
  let isScheduled = false;
  let turnEndedAt = 0;

  function leave() {
    inFlight--;
    budget.give(requestBytes);
  }

  function leaveRefused() {
    refusals--;
  }

  function schedule(): void {
    if (isScheduled) return;
    isScheduled = true;
    setImmediate(runSlices);
  }

  function runSlices(): void {
    isScheduled = false;
    const startedAt = performance.now();
    const before = startedAt - turnEndedAt;
    waiting.drain(begin, startedAt + Math.min(sliceMs.max, Math.max(sliceMs.min, before)));
    const begunAt = performance.now();
    refused.drain(refuse, begunAt + Math.max(refusalMsMin, (begunAt - turnEndedAt) * refusalShare));
    turnEndedAt = performance.now();
    if (waiting.length > 0 || refused.length > 0) schedule();
  }

  function begin(response: ServerResponse): void {
    next(response.req, response);
  }

  function refuse(response: ServerResponse): void {
    response.writeHead(overloaded.status, overloadedHeaders);
    // As text it is one write with the headers; as bytes it would be a second, which costs as much as all the rest.
    response.end(overloaded.body, 'latin1');
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
    if (!budget.take(requestBytes)) {
      options.onRefused?.(overloaded);
      if (refusals === options.refusalsMax) {
        request.socket.destroy();
        return;
      }
      refusals++;
      onEnd(response, leaveRefused);
      refused.push(response);
      schedule();
      return;
    }
    inFlight++;
    onEnd(response, leave);
    if (hasBody(request)) {
      next(request, response);
      return;
    }
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
