/** @typedef {import('../frame.ts').Frame} Frame */
/** @typedef {import('../frame.ts').Part} Part */

/**
 * What is shown while no frame comes: nothing is known of anything but why.
 * @param {number} at
 * @param {Part} api
 * @returns {Frame}
 */
export function createBlankFrame(at, api) {
  /** @type {Part} */
  const other = { state: 'unwatched', text: 'not known while the api does not tell' };
  const latency = { p50: null, p95: null, p99: null };
  const operations = { active: null, limit: null, tickets: null };
  return {
    at,
    parts: { api, topic: other, writer: other, mongodb: other },
    requests: { rate: null, inFlight: null, latency },
    confirmed: { rate: null, latency },
    stored: { rate: null, documents: null },
    backlog: { unacked: null, leased: null, oldestAge: null },
    batches: { rate: null, writesMean: null, reasons: null },
    operations: { reads: operations, writes: operations, bulkWrite: latency },
    memory: { api: [], writer: [], emulator: [], mongodb: [] },
    deadLetters: { sent: null, waiting: null },
    refused: null,
    burst: null,
  };
}
