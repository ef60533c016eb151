/**
 * Which web pages a browser lets talk to the emulator, https://fetch.spec.whatwg.org/#http-cors-protocol: those of this
 * machine, on any port, and those of --cors-origins. A page of another origin gets its answers without these headers,
 * so that the browser does not let it read them.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';

const methods = 'DELETE, GET, HEAD, PATCH, POST, PUT';
/** How long a browser need not ask again, in seconds. */
const preflightSeconds = 600;
/** https://www.rfc-editor.org/rfc/rfc6761#section-6.3: names below localhost are loopback addresses too. */
const loopback = /^https?:\/\/(([a-z0-9-]+\.)*localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?$/;

/** @returns true when it has answered, which it does to a preflight of an origin that is allowed. */
export type Cors = (request: IncomingMessage, response: ServerResponse) => boolean;

/** `origins` as a browser sends them; `*` allows any. */
export function createCors(origins: readonly string[]): Cors {
  const others = new Set(origins);
  const isAllowed = (origin: string) => loopback.test(origin) || others.has(origin) || others.has('*');
  return (request, response) => {
    const { origin } = request.headers;
    if (origin === undefined || !isAllowed(origin)) return false;
    response.setHeader('access-control-allow-origin', origin);
    response.setHeader('access-control-allow-credentials', 'true');
    response.setHeader('vary', 'origin');
    const isPreflight = request.method === 'OPTIONS' && 'access-control-request-method' in request.headers;
    if (!isPreflight) return false;
    const asked = request.headers['access-control-request-headers'];
    response.writeHead(204, {
      'access-control-allow-methods': methods,
      'access-control-max-age': String(preflightSeconds),
      ...(asked && { 'access-control-allow-headers': asked }),
    });
    response.end();
    return true;
  };
}
