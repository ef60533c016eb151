/** Thrown to what still waits when the process has to stop: its leases go to another writer. */
export class Abandoned extends Error {
  override name = 'Abandoned';

  constructor() {
    super('the writer is shutting down');
  }
}

/**
 * Waits for `operation` no longer than until `signal` is aborted. What becomes of it afterwards nobody hears; all that the
 * writer does may be done twice.
 * @throws Abandoned, or as `operation` does.
 */
export async function orAbandoned<Value>(
  signal: AbortSignal,
  operation: () => Promise<Value>,
): Promise<Value> {
  if (signal.aborted) throw new Abandoned();
  const { promise, resolve, reject } = Promise.withResolvers<Value>();
  const abandon = () => reject(new Abandoned());
  signal.addEventListener('abort', abandon);
  operation().then(resolve, reject);
  try {
    return await promise;
  } finally {
    // Not Promise.race with one promise of the signal's, which would keep every operation that was ever raced.
    signal.removeEventListener('abort', abandon);
  }
}
