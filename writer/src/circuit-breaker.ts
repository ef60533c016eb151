/**
 * Decides whether MongoDB's refusals say something of the documents.
 *
 * closed: documents are stored, or few are refused. A refusal is believed. → open, when `refusedMax` documents were
 * refused in a row and none was stored in between: a validator that somebody just changed, a view in the collection's
 * place or a bad option refuses good documents too.
 * open: no refusal is believed. Batches that are refused whole wait, and one of them is tried again after a pause that
 * grows to 5 s. → closed, by itself, as soon as a try stores a document.
 *
 * Tries overlap, so what counts is when a try began: one that began before the breaker opened, and stored something,
 * shows nothing. The state is of this process and starts closed; a crash loses nothing, because what waits is leased.
 */
import { createProbes } from './probes.ts';

export interface CircuitBreakerOptions {
  /** Documents refused in a row that open the breaker. */
  refusedMax: number;
  /** `cause` is a code or an error's name, and nothing of what a document holds. */
  onOpened?: (refusedCount: number, cause: string) => void;
  onClosed?: () => void;
}

export interface CircuitBreaker {
  /** Whether refusals are not believed now. */
  isOpen(): boolean;
  /** Grows with every call; tells what was before what. */
  now(): number;
  /** A try that began at `since` stored a document. */
  stored(since: number): void;
  /** Whether a try that began after `since` stored a document. */
  hasStoredSince(since: number): boolean;
  /** Whether `count` more refusals in a row would open it, or it is open. */
  wouldOpen(count: number): boolean;
  /** Counts documents that were refused after the last one that was stored. @returns whether to believe it */
  refused(count: number, cause: string): boolean;
  /** Resolves when what was not believed may be tried again. @throws Abandoned when `signal` is aborted. */
  untilNextTry(signal: AbortSignal): Promise<void>;
}

export function createCircuitBreaker(options: CircuitBreakerOptions): CircuitBreaker {
  const probes = createProbes();
  let time = 0;
  let refusedInARow = 0;
  let openedAt: number | undefined;
  /** When the latest try began that stored something. */
  let storedSince = -1;

  const wouldOpen = (count: number) => refusedInARow + count >= options.refusedMax;

  return {
    isOpen: () => openedAt !== undefined,
    now: () => ++time,
    stored(since) {
      storedSince = Math.max(storedSince, since);
      if (openedAt !== undefined && since < openedAt) return;
      refusedInARow = 0;
      if (openedAt === undefined) return;
      openedAt = undefined;
      options.onClosed?.();
      probes.succeeded();
    },
    hasStoredSince: (since) => storedSince > since,
    wouldOpen,
    refused(count, cause) {
      const isOpening = openedAt === undefined && wouldOpen(count);
      refusedInARow += count;
      if (isOpening) {
        openedAt = ++time;
        options.onOpened?.(refusedInARow, cause);
      }
      return openedAt === undefined;
    },
    async untilNextTry(signal) {
      if (openedAt !== undefined) await probes.wait(signal);
    },
  };
}
