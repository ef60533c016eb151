/**
 * The HTTP/2 connections of the gRPC front: how many calls each may have under way, and whether its client is still there.
 *
 * The bound of calls is not told by SETTINGS: a client at that limit queues a call without a word, until its deadline or
 * for ever (https://grpc.io/docs/guides/performance/). Over it a call is answered, with RESOURCE_EXHAUSTED.
 */
import type { Http2Session, ServerHttp2Stream } from 'node:http2';
import { StatusError } from '../methods/status.ts';

/**
 * 2,000 subscriptions of the Node client, with five streams each, share one connection, and so do its other calls. An
 * open StreamingPull takes about 12 kB.
 */
const callsPerConnectionMax = 11_000;
/** Over all connections: 180 MB of memory. */
const callsMax = 15_000;

/** How often each connection is looked at. */
const checkIntervalMsDefault = 5_000;
/**
 * A client that nothing came from since the last look is sent a PING, which each HTTP/2 client answers by itself, also
 * while its application reads nothing. Without an answer until the next look it is gone: 10 to 15 s after its last byte.
 * Its messages go to another client once their leases end.
 */
const silentChecksMax = 2;

interface Connection {
  callCount: number;
  bytesRead: number;
  silentChecks: number;
}

export class Connections {
  #open = new Map<Http2Session, Connection>();
  #callCount = 0;
  #isDraining = false;
  #onClose = () => {};
  #timer: NodeJS.Timeout;

  constructor(checkIntervalMs = checkIntervalMsDefault) {
    this.#timer = setInterval(() => this.#check(), checkIntervalMs).unref();
  }

  add(session: Http2Session): void {
    this.#open.set(session, { callCount: 0, bytesRead: 0, silentChecks: 0 });
    session.on('close', () => {
      this.#open.delete(session);
      this.#onClose();
    });
    if (this.#isDraining) session.close();
  }

  /** Counts a call until its stream is closed. @throws StatusError when there are too many. */
  begin(stream: ServerHttp2Stream): void {
    const connection = stream.session && this.#open.get(stream.session);
    if (!connection) throw new StatusError('UNAVAILABLE', 'The connection is closed.');
    if (connection.callCount >= callsPerConnectionMax) {
      throw tooMany(`This connection has ${callsPerConnectionMax} calls`);
    }
    if (this.#callCount >= callsMax) throw tooMany(`The emulator has ${callsMax} calls`);
    connection.callCount++;
    this.#callCount++;
    stream.on('close', () => {
      connection.callCount--;
      this.#callCount--;
    });
  }

  #check(): void {
    for (const [session, connection] of this.#open) {
      // Its socket is not to be asked any more; it may be open until the client closes its side.
      if (session.destroyed) continue;
      const { bytesRead } = session.socket;
      connection.silentChecks = bytesRead === connection.bytesRead ? connection.silentChecks + 1 : 0;
      connection.bytesRead = bytesRead;
      if (connection.silentChecks >= silentChecksMax) session.destroy();
      else if (connection.silentChecks > 0) session.ping(() => {});
    }
  }

  drain(): void {
    this.#isDraining = true;
  }

  /** Resolves when all calls are answered and connections closed, or were cut off after `graceMs`. */
  async close(graceMs: number): Promise<void> {
    clearInterval(this.#timer);
    const closed = Promise.withResolvers<void>();
    this.#onClose = () => {
      if (this.#open.size === 0) closed.resolve();
    };
    for (const session of this.#open.keys()) session.close();
    this.#onClose();
    const timer = setTimeout(() => closed.resolve(), graceMs);
    await closed.promise;
    clearTimeout(timer);
    for (const session of this.#open.keys()) session.destroy();
  }
}

function tooMany(what: string): StatusError {
  return new StatusError(
    'RESOURCE_EXHAUSTED',
    `${what} under way, which is the limit. End some, and try again.`,
  );
}
