/**
 * What a caller's own JSON may be, so that it is stored and read back as it was sent.
 *
 * Refused, each with its path, is what JSON, BSON or MongoDB would change or choke on: numbers that a double does not hold,
 * repeated keys (`JSON.parse` keeps the last one), `_id` (the api makes ids), keys that begin with `$` (operators and
 * references), `_bsontype` (the BSON library takes such an object for one of its own), NUL in keys, lone surrogates, and
 * nesting over `depthMax` (MongoDB's own limit is 100 levels).
 */
import { isHeldByDouble, walkJson } from './json-text.ts';

export const recordsMax = 100;

/** Bytes of one request's body, by the contract. */
export const bodyBytesMax = 256 * 1024;

const depthMax = 50;

/** How many problems an answer lists; the rest would say the same again. */
const problemsMax = 20;

export type Parsed = { documents: Record<string, unknown>[] } | { problems: string[] };

/** @param text JSON: an object, or an array of 1 to `recordsMax` of them */
export function parseRecords(text: string): Parsed {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return { problems: ['body: must be valid JSON'] };
  }
  const items: unknown[] = Array.isArray(body) ? body : [body];
  if (items.length === 0 || items.length > recordsMax) {
    return {
      problems: [`body: must be an object or an array of 1 to ${recordsMax} objects, got ${items.length}`],
    };
  }
  const problems: string[] = [];
  for (const [index, item] of items.entries()) {
    if (!isObject(item)) problems.push(`${Array.isArray(body) ? `[${index}]` : 'body'}: must be an object`);
  }
  findProblems(text, Array.isArray(body) ? 1 : 0, problems);
  if (problems.length > 0) return { problems: problems.slice(0, problemsMax) };
  return { documents: items.filter(isObject) };
}

/** @param rootDepth levels of the array that the records are in */
function findProblems(text: string, rootDepth: number, problems: string[]): void {
  const report = (path: () => string, problem: string) => {
    if (problems.length < problemsMax) problems.push(`${path()}: ${problem}`);
  };
  walkJson(text, {
    open(depth, path) {
      const isDeep = depth - rootDepth > depthMax;
      if (isDeep) report(path, `must have at most ${depthMax} levels`);
      return !isDeep && problems.length < problemsMax;
    },
    key(key, isRepeated, depth, path) {
      const problem = findKeyProblem(key, isRepeated, depth - rootDepth === 1);
      if (problem) report(path, problem);
    },
    escapedText(value, path) {
      if (!value.isWellFormed()) report(path, 'must be valid Unicode, got half a surrogate pair');
    },
    number(source, path) {
      if (isHeldByDouble(source)) return;
      report(path, 'must be a number that 64-bit floating point holds exactly; send it as a string');
    },
  });
}

function findKeyProblem(key: string, isRepeated: boolean, isTop: boolean): string | undefined {
  if (isRepeated) return 'must not be repeated in its object';
  if (isTop && key === '_id') return 'must be left out; the server makes the ids';
  if (key.startsWith('$')) return 'the name of a field must not begin with $';
  if (key === '_bsontype') return 'this name of a field is reserved';
  if (key.includes('\0')) return 'the name of a field must not contain NUL';
  if (!key.isWellFormed()) return 'the name of a field must be valid Unicode';
  return undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
