/**
 * What every answer tells browsers and caches. A route that serves more than data sets its own in their place. Each
 * costs 0.4 µs a request (wrk on a server that does nothing else), so there are no more than help.
 *
 * No Strict-Transport-Security: TLS ends before this process, and on plain HTTP browsers have to ignore it.
 */
import type { ServerResponse } from 'node:http';

const securityHeaders = [
  // GET /api/data writes: an answer out of a cache would confirm what was not sent.
  ['Cache-Control', 'no-store'],
  // An answer that a browser is led to is shown as data: nothing in it is loaded, run or framed.
  ['Content-Security-Policy', "default-src 'none'; frame-ancestors 'none'"],
  ['X-Content-Type-Options', 'nosniff'],
] as const;

export function secure(response: ServerResponse): void {
  for (const [name, value] of securityHeaders) response.setHeader(name, value);
}

/** The same for an answer that is written without a ServerResponse. */
export const securityLines = securityHeaders.map(([name, value]) => `${name}: ${value}\r\n`).join('');
