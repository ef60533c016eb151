/**
 * Ends a wait for MongoDB within its time, whatever MongoDB, the connection or the driver does.
 *
 * The driver's own `timeoutMS` has no effect (7.8 and later). `socketTimeoutMS` ends a wait on a connection alone, and is
 * the same for all operations. So each operation has three bounds: the server ends it (`maxTimeMS`); where no answer comes,
 * `signal` closes its connection, so that no place of the pool stays taken; and the caller waits no longer in any case.
 */
import { MongoNetworkTimeoutError } from 'mongodb';

/** Options of an operation; all operations take `signal`, although only some have it in their types (driver 7.9). */
export interface Bounds {
  signal: AbortSignal;
  maxTimeMS: number;
}

/** Of the time that the caller waits, so that a server that is slow still answers, and its connection is kept. */
const serverTimeShare = 0.8;

/**
 * Resolves or rejects as `operation` does, which passes its bounds on to the driver.
 * @throws MongoNetworkTimeoutError after `timeMsMax`.
 */
export async function withinDeadline<Value>(
  timeMsMax: number,
  operation: (bounds: Bounds) => Promise<Value>,
): Promise<Value> {
  const { promise, resolve, reject } = Promise.withResolvers<Value>();
  const aborting = new AbortController();
  const timer = setTimeout(() => {
    const error = new MongoNetworkTimeoutError(`MongoDB did not answer within ${timeMsMax} ms`);
    reject(error);
    aborting.abort(error);
  }, timeMsMax);
  try {
    operation({ signal: aborting.signal, maxTimeMS: Math.ceil(timeMsMax * serverTimeShare) }).then(
      resolve,
      reject,
    );
    return await promise;
  } finally {
    clearTimeout(timer);
  }
}
