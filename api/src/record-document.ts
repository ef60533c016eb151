/**
 * What a caller's own JSON may be, so that it is stored and read back as it was sent.
 *
 * Refused, each with its path, is what BSON or MongoDB would change or choke on: `_id` (the api makes
 * ids), keys that begin with `$` (operators and references), `_bsontype` (the BSON library takes such an
 * object for one of its own), NUL in keys, lone surrogates, numbers that a double cannot hold, and
 * nesting over `depthMax` (MongoDB's own limit is 100 levels).
 */
export const recordsMax = 100;

/** Bytes of one request's body, by the contract. */
export const bodyBytesMax = 256 * 1024;

const depthMax = 50;

/** How many problems an answer lists; the rest would say the same again. */
const problemsMax = 20;

export type Parsed = { documents: Record<string, unknown>[] } | { problems: string[] };

/** `body` is a parsed JSON value: an object, or an array of 1 to `recordsMax` of them. */
export function parseRecords(body: unknown): Parsed {
  if (body === undefined) return { problems: ['body: wants JSON, got nothing'] };
  const items = Array.isArray(body) ? body : [body];
  if (items.length === 0 || items.length > recordsMax) {
    return {
      problems: [`body: wants an object or an array of 1 to ${recordsMax} objects, got ${items.length}`],
    };
  }
  const problems: string[] = [];
  const documents: Record<string, unknown>[] = [];
  for (const [index, item] of items.entries()) {
    const path = Array.isArray(body) ? `[${index}]` : 'body';
    if (!isObject(item)) {
      problems.push(`${path}: wants an object`);
      continue;
    }
    if (Object.hasOwn(item, '_id')) problems.push(`${path}._id: ids are made by the server; leave it out`);
    findProblems(item, path, 1, problems);
    documents.push(item);
  }
  return problems.length > 0 ? { problems: problems.slice(0, problemsMax) } : { documents };
}

function findProblems(value: unknown, path: string, depth: number, problems: string[]): void {
  if (problems.length >= problemsMax) return;
  if (typeof value === 'string') {
    if (!value.isWellFormed()) problems.push(`${path}: wants valid Unicode, got half a surrogate pair`);
  } else if (typeof value === 'number') {
    const numberProblem = findNumberProblem(value);
    if (numberProblem) problems.push(`${path}: ${numberProblem}`);
  } else if (depth > depthMax) {
    problems.push(`${path}: wants at most ${depthMax} levels`);
  } else if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) findProblems(item, `${path}[${index}]`, depth + 1, problems);
  } else if (isObject(value)) {
    for (const [key, item] of Object.entries(value)) {
      const keyProblem = findKeyProblem(key);
      if (keyProblem) problems.push(`${path}.${printable(key)}: ${keyProblem}`);
      findProblems(item, `${path}.${printable(key)}`, depth + 1, problems);
    }
  }
}

/** JSON prints a number's digits below 1e21, so that is where a lost digit is a changed document. */
function findNumberProblem(value: number): string | undefined {
  if (!Number.isFinite(value)) return 'wants a number that fits 64-bit floating point';
  if (Number.isInteger(value) && !Number.isSafeInteger(value) && Math.abs(value) < 1e21) {
    return 'this whole number would lose digits; send it as a string';
  }
  return undefined;
}

function findKeyProblem(key: string): string | undefined {
  if (key.startsWith('$')) return 'field names must not begin with $';
  if (key === '_bsontype') return 'this field name is reserved';
  if (key.includes('\0')) return 'field names must not contain NUL';
  if (!key.isWellFormed()) return 'field names want valid Unicode';
  return undefined;
}

/** A key as part of an error message: short, and without control characters. */
function printable(key: string): string {
  return JSON.stringify(key.slice(0, 64)).slice(1, -1);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
