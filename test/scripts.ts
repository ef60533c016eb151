/** The scripts of package.json. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const text = readFileSync(join(import.meta.dirname, '../package.json'), 'utf8');

export const scripts = (JSON.parse(text) as { scripts: Record<string, string> }).scripts;

/** Of those that are programs of this project, the file of each. */
export const scriptFiles: Record<string, string> = Object.fromEntries(
  Object.entries(scripts).flatMap(([name, script]) => {
    const [, file] = /^node (\S+\.ts)$/.exec(script) ?? [];
    return file === undefined ? [] : [[name, file]];
  }),
);
