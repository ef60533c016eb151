/**
 * A request's body as JSON, within a limit. What is refused here is refused before a route sees it.
 *
 * The body parser passes over a body of any other type, takes an empty one for `{}`, replaces bytes that are no
 * UTF-8, and takes UTF-16 and UTF-7 too; none of that would be the document that was sent.
 */
import { isUtf8 } from 'node:buffer';
import express, { type RequestHandler } from 'express';
import { ApiError } from './errors.ts';
import { refuse } from './refusal.ts';

/**
 * The body parser takes what is over its limit to the end before it answers, so that the client hears of it. Over
 * this the answer comes at once, and server.ts ends the connection.
 */
const readBytesMax = 2 * 1024 * 1024;

/** Leaves what it parsed in `request.body`. Errors are for `toBodyError`. */
export function readJson(bytesMax: number): RequestHandler[] {
  const tooLarge = createTooLarge(bytesMax);
  const limitBody: RequestHandler = (request, response, next) => {
    if (Number(request.headers['content-length'] ?? 0) > readBytesMax) throw tooLarge;
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > readBytesMax && !response.headersSent) refuse(response, tooLarge);
    });
    next();
  };
  return [requireJson, limitBody, express.json({ limit: bytesMax, verify: checkBody })];
}

const requireJson: RequestHandler = (request, _response, next) => {
  if (!/^application\/json\s*(;|$)/i.test(request.headers['content-type'] ?? '')) {
    throw new ApiError('unsupported_media_type', 'Content-Type: wants application/json.');
  }
  next();
};

const problems = {
  'entity.empty': 'body: wants JSON, got nothing.',
  'entity.parse.failed': 'body: wants valid JSON.',
  'body.utf8': 'body: wants valid UTF-8.',
} as const;

/** The body parser reports what is thrown here, with its `type`. */
function checkBody(_request: unknown, _response: unknown, body: Buffer, encoding: string): void {
  const fail = (type: string) => Object.assign(new Error(type), { type });
  if (encoding !== 'utf-8') throw fail('charset.unsupported');
  if (body.length === 0) throw fail('entity.empty');
  if (!isUtf8(body)) throw fail('body.utf8');
}

/** What the body parser throws, as an answer; undefined for errors that are not about a body. */
export function toBodyError(error: unknown): ApiError | undefined {
  const { type, status, limit } = (error ?? {}) as { type?: unknown; status?: unknown; limit?: unknown };
  if (type === 'entity.too.large') return createTooLarge(Number(limit));
  if (typeof type === 'string' && Object.hasOwn(problems, type)) {
    return new ApiError('invalid_request', problems[type as keyof typeof problems]);
  }
  if (status === 415 || type === 'charset.unsupported') {
    return new ApiError(
      'unsupported_media_type',
      'body: wants UTF-8 JSON, plain or with gzip, deflate or br.',
    );
  }
  return undefined;
}

function createTooLarge(bytesMax: number): ApiError {
  return new ApiError('payload_too_large', `body: wants at most ${bytesMax} bytes.`);
}
