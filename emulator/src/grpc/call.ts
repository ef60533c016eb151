/**
 * One gRPC call on an HTTP/2 stream.
 *
 * Unary: `reading` (until the request is there and the client has ended its side) → `answering` → ended by the answer or
 * a status. Streams: messages go both ways until either side ends. A client that goes away closes the stream: the
 * call is cancelled, and whatever is still answered goes nowhere. Nothing of a call outlives its stream.
 */
import {
  constants as http2,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import type { CallInfo, UnaryMethod } from '../methods/method.ts';
import { StatusError } from '../methods/status.ts';
import { frame, MessageReader, type ReaderOptions } from './frames.ts';
import type { RequestMemory } from './request-memory.ts';
import { okTrailers, trailersOf } from './trailers.ts';

/** What a method with a stream of requests does with it. */
export interface StreamReceiver {
  /** The bytes are only there during the call. */
  receive(request: Buffer): void;
  /** The client has ended its side. */
  end(): void;
  /** The client is gone. */
  cancel(): void;
}

export type StreamMethod = (call: StreamCall) => StreamReceiver;

/** A client that has begun a call and sends nothing of its request has this long. */
const requestSilenceMsMax = 30_000;

/** A client whose call has ended, and that neither ends its side nor sends anything, has this long. */
const restSilenceMsMax = 5_000;

const headers: OutgoingHttpHeaders = { ':status': 200, 'content-type': 'application/grpc' };
const withTrailers = { waitForTrailers: true };
const withoutMore = { endStream: true };

export interface CallOptions {
  headers: IncomingHttpHeaders;
  memory: RequestMemory;
  /** Of a request. */
  bytesMax: number;
}

export function answerUnary(stream: ServerHttp2Stream, options: CallOptions, answer: UnaryMethod): void {
  let request: Buffer | undefined;
  let isAnswered = false;
  const info: CallInfo = { deadlineMs: deadlineOf(options.headers), onCancel: undefined };
  const reader = new MessageReader(readerOptions(options), (message) => {
    // https://github.com/grpc/grpc/blob/master/doc/statuscodes.md has this code for it.
    if (request) throw new StatusError('UNIMPLEMENTED', 'This method takes one message; a second one came.');
    request = message;
  });
  /** Given to the pool once: given twice it would be the memory of two messages. */
  const forgetRequest = () => {
    if (request) options.memory.free(request);
    request = undefined;
  };
  const fail = (error: unknown) => {
    if (isAnswered) return;
    isAnswered = true;
    reader.close();
    // The client may leave its side of the stream open for as long as it likes.
    forgetRequest();
    endWith(stream, trailersOf(error));
  };
  // Until the request is there.
  stream.setTimeout(requestSilenceMsMax, () => fail(silence()));
  stream.on('data', (data: Buffer) => {
    if (isAnswered) return;
    try {
      reader.write(data);
    } catch (error) {
      fail(error);
    }
  });
  stream.on('end', async () => {
    stream.setTimeout(0);
    if (isAnswered) return;
    // From here on the broker's own bounds hold.
    reader.close();
    try {
      const response = await answer(request ?? Buffer.alloc(0), info);
      if (!isAnswered) respond(stream, response);
      isAnswered = true;
    } catch (error) {
      fail(error);
    } finally {
      forgetRequest();
    }
  });
  stream.on('close', () => {
    reader.close();
    if (isAnswered) return;
    isAnswered = true;
    info.onCancel?.();
  });
}

/** Reset, or without its connection: respond() would throw. */
export function isGone(stream: ServerHttp2Stream): boolean {
  return stream.destroyed || stream.closed;
}

function respond(stream: ServerHttp2Stream, response: Buffer): void {
  if (isGone(stream)) return;
  stream.on('wantTrailers', () => stream.sendTrailers(okTrailers));
  stream.respond(headers, withTrailers);
  stream.end(frame(response));
}

/** A status without an answer. */
export function endWith(stream: ServerHttp2Stream, trailers: OutgoingHttpHeaders): void {
  if (isGone(stream) || stream.headersSent) return;
  stream.respond({ ...headers, ...trailers }, withoutMore);
  dropTheRest(stream);
}

/**
 * What the client still sends after the end of its call is not wanted, and its side need not be left open
 * (https://www.rfc-editor.org/rfc/rfc9113#section-8.1). Not at once: a reset that comes together with the status makes
 * Node's client drop the status.
 */
function dropTheRest(stream: ServerHttp2Stream): void {
  stream.resume();
  stream.setTimeout(restSilenceMsMax, () => stream.close(http2.NGHTTP2_NO_ERROR));
}

function silence(): StatusError {
  const text = `Nothing of the request came for ${requestSilenceMsMax / 1_000} s.`;
  return new StatusError('DEADLINE_EXCEEDED', text);
}

export class StreamCall {
  #stream: ServerHttp2Stream;
  #reader: MessageReader;
  #trailers: OutgoingHttpHeaders = okTrailers;
  #isEnded = false;
  #isPaused = false;
  /** Its first request is there. */
  #hasBegun = false;
  #onSilence: () => void;
  #silence: NodeJS.Timeout | undefined;

  constructor(stream: ServerHttp2Stream, options: CallOptions, open: StreamMethod) {
    this.#stream = stream;
    this.#reader = new MessageReader(readerOptions(options), (message) => {
      this.#hasBegun = true;
      receiver.receive(message);
      options.memory.free(message);
      this.#reader.release();
    });
    const receiver = open(this);
    this.#onSilence = () => {
      receiver.cancel();
      this.fail(silence());
    };
    this.#watch();
    stream.on('data', (data: Buffer) => {
      if (this.#isEnded) return;
      try {
        this.#reader.write(data);
        this.#watch();
      } catch (error) {
        receiver.cancel();
        this.fail(error);
      }
    });
    stream.on('end', () => receiver.end());
    stream.on('close', () => {
      this.#reader.close();
      this.#isEnded = true;
      this.#watch();
      receiver.cancel();
    });
  }

  /** The time limit runs while a request is incomplete, but not while nothing is read. */
  #watch(): void {
    const isWaiting = !this.#isEnded && !this.#isPaused && (!this.#hasBegun || this.#reader.isIncomplete);
    if (!isWaiting) {
      clearTimeout(this.#silence);
      this.#silence = undefined;
    } else if (this.#silence) this.#silence.refresh();
    else this.#silence = setTimeout(this.#onSilence, requestSilenceMsMax);
  }

  /** Sends a message that has its prefix already; its buffer is the caller's again after `onSent`. */
  write(framed: Buffer, onSent: () => void): void {
    if (this.#isEnded || isGone(this.#stream)) return;
    this.#begin();
    this.#stream.write(framed, onSent);
  }

  /** Reads nothing more for now: the client's sending stops by HTTP/2's flow control. */
  pause(): void {
    this.#isPaused = true;
    this.#stream.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.#stream.resume();
    this.#watch();
  }

  end(): void {
    this.#finish(okTrailers);
  }

  fail(error: unknown): void {
    this.#finish(trailersOf(error));
  }

  #begin(): void {
    const stream = this.#stream;
    if (stream.headersSent) return;
    stream.on('wantTrailers', () => {
      stream.sendTrailers(this.#trailers);
      dropTheRest(stream);
    });
    stream.respond(headers, withTrailers);
  }

  #finish(trailers: OutgoingHttpHeaders): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#watch();
    this.#reader.close();
    const stream = this.#stream;
    if (isGone(stream)) return;
    this.#trailers = trailers;
    if (!stream.headersSent) endWith(stream, trailers);
    else {
      stream.end();
      stream.resume();
    }
  }
}

const timeoutUnitsMs: Record<string, number> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 };

function deadlineOf(requestHeaders: IncomingHttpHeaders): number | undefined {
  const [, digits, unit] = /^(\d{1,8})([HMSmun])$/.exec(String(requestHeaders['grpc-timeout'])) ?? [];
  return unit === undefined ? undefined : Date.now() + Number(digits) * (timeoutUnitsMs[unit] ?? 0);
}

function readerOptions({
  headers: { 'grpc-encoding': encoding },
  memory,
  bytesMax,
}: CallOptions): ReaderOptions {
  return { memory, bytesMax, encoding: String(encoding ?? 'identity') };
}
