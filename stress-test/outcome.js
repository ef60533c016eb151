/**
 * What an answer to GET /api/data says about its five writes. Plain JavaScript, because k6 and Node both
 * import it: the load counts by this table and the audit's bounds follow from those counts.
 *
 * - `confirmed`: they will be stored, each exactly once.
 * - `refused`: they certainly never will be.
 * - `unknown`: they may or may not be. No answer at all is unknown too, unless no connection came about.
 */

/**
 * Refusals that promise that nothing was published (the api's errors.ts).
 * @type {ReadonlyArray<import('@assessment/api/errors').FailureCode>}
 */
const notPublishedCodes = ['overloaded', 'draining', 'publish_not_sent'];

/**
 * @param {number} status
 * @param {unknown} body the parsed JSON of the answer, undefined when it was none
 * @returns {'confirmed' | 'refused' | 'unknown'}
 */
export function classifyAnswer(status, body) {
  const answer = /** @type {{ status?: unknown, code?: unknown }} */ (body || {});
  if (status === 200 && answer.status === 'success') return 'confirmed';
  if (status >= 400 && status < 500) return 'refused';
  if (status === 503 && notPublishedCodes.some((code) => code === answer.code)) return 'refused';
  return 'unknown';
}
