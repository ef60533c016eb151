/**
 * A request's body as JSON text, within a limit. What is refused here is refused before a route sees it.
 *
 * The body must be sound UTF-8: bytes that are none would be replaced, and other encodings would have to be guessed. It is
 * unpacked in the turn in which it is parsed, and never over its limit.
 */
import { brotliDecompressSync, gunzipSync, inflateSync, type ZlibOptions } from 'node:zlib';
import type { RequestHandler } from 'express';
import { onEnd } from './answer-end.ts';
import type { Arrival, Budget } from './budget.ts';
import { ApiError } from './errors.ts';

/**
 * A body that is over its limit is read to its end before it is refused, so that the client hears of it. Over this the
 * answer comes at once, and server.ts ends the connection.
 */
const readBytesMax = 2 * 1024 * 1024;

type Unpack = (bytes: Buffer, options: ZlibOptions) => Buffer;

const unpackers = new Map<string, Unpack>([
  ['identity', (bytes) => bytes],
  ['gzip', gunzipSync],
  ['deflate', inflateSync],
  ['br', brotliDecompressSync],
]);

/** Without its byte order mark. Throws for what is no UTF-8. */
const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * Leaves the text in `request.body` for as long as the next handlers run, and no longer: what they need after their first
 * `await` they have to make of it before.
 * @param bytesMax of the body, packed and unpacked
 */
export function readJsonText(budget: Budget, bytesMax: number): RequestHandler[] {
  const tooLarge = new ApiError('payload_too_large', `body: must have at most ${bytesMax} bytes.`);

  const read: RequestHandler = (request, response, next) => {
    const unpack = unpackers.get((request.headers['content-encoding'] ?? 'identity').toLowerCase());
    if (!unpack) {
      throw new ApiError(
        'unsupported_media_type',
        'Content-Encoding: must be gzip, deflate, br or identity.',
      );
    }
    if (Number(request.headers['content-length'] ?? 0) > readBytesMax) throw tooLarge;
    const arrival = budget.arrive(bytesMax, next);
    onEnd(response, () => arrival.release());
    request.on('data', (piece: Buffer) => {
      arrival.add(piece);
      if (arrival.length > readBytesMax) arrival.refuse(tooLarge);
    });
    request.on('end', () => {
      if (arrival.isOver) return;
      try {
        request.body = readText(arrival, unpack);
      } catch (error) {
        next(error);
        return;
      }
      next();
      request.body = undefined;
      arrival.release();
    });
  };

  function readText(arrival: Arrival, unpack: Unpack): string {
    if (arrival.length > bytesMax) throw tooLarge;
    const packed = arrival.end();
    if (packed.length === 0) throw new ApiError('invalid_request', 'body: must be JSON, got nothing.');
    let bytes: Buffer;
    try {
      bytes = unpack(packed, { maxOutputLength: bytesMax });
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge;
      throw new ApiError('invalid_request', 'body: must be packed as Content-Encoding says.', { cause });
    }
    try {
      return utf8.decode(bytes);
    } catch (cause) {
      throw new ApiError('invalid_request', 'body: must be valid UTF-8.', { cause });
    }
  }

  return [requireJson, read];
}

/** `charset` has no meaning for JSON, which is UTF-8; one that says something else is refused. */
const typePattern = /^application\/json\s*(?:;|$)/i;
const charsetPattern = /;\s*charset\s*=\s*"?([^\s";]*)/i;

const requireJson: RequestHandler = (request, _response, next) => {
  const type = request.headers['content-type'] ?? '';
  const charset = charsetPattern.exec(type)?.[1] ?? 'utf-8';
  if (!typePattern.test(type) || charset.toLowerCase() !== 'utf-8') {
    throw new ApiError('unsupported_media_type', 'Content-Type: must be application/json, in UTF-8.');
  }
  next();
};
