/**
 * The optional bearer token of the routes that write (RFC 6750). Off, it is not there: no request pays for it.
 */
import { hash, timingSafeEqual } from 'node:crypto';
import type { RequestHandler } from 'express';
import { ApiError } from './errors.ts';

const unauthorized = new ApiError('unauthorized', 'Authorization: wants the bearer token of this api.');

const credentials = /^Bearer +([A-Za-z0-9._~+/-]+=*) *$/i;

/**
 * A middleware that lets nobody pass without `token`. Digests are compared, not tokens: of equal length whatever was
 * sent, in a time that does not depend on where they differ.
 */
export function requireToken(token: string): RequestHandler {
  const wanted = digest(token);
  return (request, response, next) => {
    const given = credentials.exec(request.headers.authorization ?? '')?.[1];
    if (given !== undefined && timingSafeEqual(digest(given), wanted)) {
      next();
      return;
    }
    const problem = given === undefined ? '' : ', error="invalid_token"';
    response.setHeader('WWW-Authenticate', `Bearer realm="assessment"${problem}`);
    throw unauthorized;
  };
}

function digest(text: string): Buffer {
  return hash('sha256', text, 'buffer');
}
