/** The path and the query of a URL, without the parameters that every Google API has. */
import { StatusError } from '../methods/status.ts';

export interface Target {
  path: string;
  /** By the name of a field of the request. */
  fields: [name: string, values: string[]][];
  isPretty: boolean;
}

/**
 * https://cloud.google.com/apis/docs/system-parameters. They do nothing here: nobody is authenticated or counted, and
 * an answer that was to have some `fields` has them all.
 */
const systemParameters = new Set([
  '$.xgafv',
  '$.userProject',
  '$fields',
  'access_token',
  'fields',
  'key',
  'oauth_token',
  'quotaUser',
  'uploadType',
  'upload_protocol',
  'userProject',
]);

/** @throws StatusError */
export function readTarget(url: string): Target {
  const [path = '', query = ''] = url.split('?', 2);
  const target: Target = { path: decode(path), fields: [], isPretty: true };
  const parameters = new URLSearchParams(query);
  for (const name of new Set(parameters.keys())) {
    const values = parameters.getAll(name);
    const plainName = name.replace(/^\$/, '');
    if (plainName === 'alt') checkAlt(values);
    else if (plainName === 'prettyPrint') target.isPretty = values[0] !== 'false';
    else if (!systemParameters.has(name)) target.fields.push([name, values]);
  }
  return target;
}

/**
 * A request target without the scheme and the host, which clients of a proxy send:
 * https://www.rfc-editor.org/rfc/rfc9112#section-3.2.2. Whatever the host is, this is the emulator of it.
 */
export function originForm(target: string): string {
  const [, rest] = /^https?:\/\/[^/?]*(.*)$/is.exec(target) ?? [];
  if (rest === undefined) return target;
  return rest.startsWith('/') ? rest : `/${rest}`;
}

function checkAlt(values: string[]): void {
  if (values.every((value) => value === 'json' || value.startsWith('json;'))) return;
  throw new StatusError(
    'INVALID_ARGUMENT',
    `Invalid value at 'alt': json is wanted, not "${values.join()}".`,
  );
}

function decode(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw new StatusError('INVALID_ARGUMENT', `The path is not percent-encoded: ${path}`);
  }
}
