/**
 * The bound on requests in flight, in front of everything else, so that a refusal costs as little as
 * possible. Health, metrics and the dashboard do not count: they have to answer under any load.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { ApiError } from './errors.ts';

export interface Admission {
  listener: RequestListener;
  inFlight(): number;
  /** From now on every answer closes its connection, so that clients go elsewhere. */
  drain(): void;
}

/** By the exact target: in any other spelling a request counts, wherever it is routed to. */
const uncounted = new Set([
  ...['/healthz', '/servez', '/readyz', '/metrics'],
  ...['/', '/dashboard/events', '/dashboard/page.js', '/dashboard/flow.js', '/dashboard/plots.js'],
  ...['/dashboard/format.js', '/dashboard/style.css', '/dashboard/icon.svg'],
  ...['/dashboard/uPlot.iife.min.js', '/dashboard/uPlot.min.css'],
]);

const overloaded = new ApiError('overloaded', 'Too many requests are in flight. Try again.');

export function createAdmission(
  next: RequestListener,
  options: { inFlightMax: number; onRefused?: (error: ApiError) => void },
): Admission {
  let inFlight = 0;
  let isDraining = false;

  function leave() {
    inFlight--;
  }

  function listener(request: IncomingMessage, response: ServerResponse) {
    if (isDraining) response.setHeader('Connection', 'close');
    if (!uncounted.has(request.url ?? '')) {
      if (inFlight >= options.inFlightMax) {
        options.onRefused?.(overloaded);
        refuse(response, overloaded);
        return;
      }
      inFlight++;
      response.once('close', leave);
    }
    next(request, response);
  }

  return {
    listener,
    inFlight: () => inFlight,
    drain() {
      isDraining = true;
    },
  };
}

/** Answers with the error's status, headers and body. */
export function refuse(response: ServerResponse, error: ApiError): void {
  const { body, retryAfterSeconds } = error;
  response.statusCode = error.status;
  if (retryAfterSeconds !== undefined) response.setHeader('Retry-After', retryAfterSeconds);
  response.setHeader('Content-Type', 'application/json; charset=utf-8');
  response.setHeader('Content-Length', Buffer.byteLength(body));
  response.end(body);
}
