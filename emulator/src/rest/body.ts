/**
 * The body of a request, whole. What all requests hold at once is bounded: over it a request is refused, and the client
 * tries again.
 */
import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import { gunzipSync, inflateSync } from 'node:zlib';
import { StatusError } from '../methods/status.ts';

/** Of one body: a publish of the 10 MiB that are allowed is 14 MB in base64, and has a text around it. */
const bodyBytesMax = 16 * 1024 * 1024;
/**
 * Of all bodies that are not answered. One is in memory five times while it is read (bytes, text, strings, data, message),
 * and what V8 collects late comes on top: measured were 310 MB of anonymous memory with six publishes of 10 MB at once,
 * 250 MB with six of 3 MB, 130 MB with one after the other of 3 MB.
 */
const heldBytesMax = 2 * bodyBytesMax;

/** A client that has begun a body and sends nothing more of it has this long. */
const bodySilenceMsMax = 30_000;

let heldBytes = 0;

/** @returns what `use` makes of it, which holds the body until then. @throws StatusError */
export async function withBody<Result>(
  request: IncomingMessage,
  use: (body: Buffer) => Promise<Result>,
): Promise<Result> {
  const held = { bytes: 0 };
  try {
    return await use(decompress(request, await read(request, held)));
  } finally {
    heldBytes -= held.bytes;
  }
}

/** As JSON; an empty body counts as `{}`. @throws StatusError */
export function parseBody(body: Buffer): unknown {
  if (body.length === 0) return {};
  if (!isUtf8(body)) throw invalid('Invalid JSON payload received. It is no UTF-8.');
  try {
    return JSON.parse(body.toString());
  } catch (cause) {
    throw invalid(`Invalid JSON payload received. ${(cause as Error).message}`);
  }
}

/** Of what the client says that it will send. */
export function isTooLong(request: IncomingMessage): boolean {
  return Number(request.headers['content-length'] ?? 0) > bodyBytesMax;
}

function read(request: IncomingMessage, held: { bytes: number }): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const chunks: Buffer[] = [];
  const timer = setTimeout(() => refuse(silence()), bodySilenceMsMax);
  const refuse = (error: StatusError) => {
    clearTimeout(timer);
    request.removeAllListeners('data');
    chunks.length = 0;
    reject(error);
    // What still comes is read and dropped, so that the client gets the answer.
    request.resume();
  };
  if (isTooLong(request)) {
    refuse(tooLong());
    return promise;
  }
  request.on('data', (chunk: Buffer) => {
    timer.refresh();
    heldBytes += chunk.length;
    held.bytes += chunk.length;
    chunks.push(chunk);
    if (held.bytes > bodyBytesMax) refuse(tooLong());
    else if (heldBytes > heldBytesMax) refuse(tooMany());
  });
  request.on('end', () => {
    clearTimeout(timer);
    const [first, ...more] = chunks;
    resolve(first && more.length === 0 ? first : Buffer.concat(chunks));
    chunks.length = 0;
  });
  request.on('close', () => {
    clearTimeout(timer);
    reject(new StatusError('CANCELLED', 'The client went away.'));
  });
  return promise;
}

function decompress(request: IncomingMessage, body: Buffer): Buffer {
  const encoding = request.headers['content-encoding'] ?? 'identity';
  const options = { maxOutputLength: bodyBytesMax };
  try {
    if (encoding === 'identity') return body;
    if (encoding === 'gzip') return gunzipSync(body, options);
    if (encoding === 'deflate') return inflateSync(body, options);
  } catch (cause) {
    throw invalid(`The body cannot be decompressed: ${(cause as Error).message}`);
  }
  throw invalid(`A body in the content-encoding ${encoding} is not read. Send gzip, deflate or none.`);
}

function silence(): StatusError {
  return new StatusError('DEADLINE_EXCEEDED', `Nothing of the body came for ${bodySilenceMsMax / 1_000} s.`);
}

function tooLong(): StatusError {
  return invalid(`Request payload size exceeds the limit: ${bodyBytesMax} bytes.`);
}

function tooMany(): StatusError {
  return new StatusError(
    'RESOURCE_EXHAUSTED',
    `Requests of ${heldBytesMax} bytes are under way, which is the limit. Try again.`,
  );
}

function invalid(message: string): StatusError {
  return new StatusError('INVALID_ARGUMENT', message);
}
