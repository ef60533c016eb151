/** The audit's command line. */
import { BadUsage, parseFlags, readFolder, readTime, readWholeNumber } from '../command-line/flags.ts';
import { defaultOutFolder } from './out-folder.ts';

export const help = `Proves that every confirmed id is in MongoDB exactly once.

  npm run audit -- [--base-url URL] [--connections N] [--duration TIME] [--out FOLDER] …
      drives a load of its own, writes every confirmed id down, and audits it
  npm run audit -- --summary FILE --ids FILE [--documents-before N] …
      audits a run of stress-test.js; its opening comment says how to record one

  --base-url URL     where the api is; default $BASE_URL or http://assessment.local
  --connections N    requests at once, 1 to 20000; default 100
  --duration TIME    of the load, such as 30s or 5m; default 30s. Ctrl-C ends it early; the audit follows
  --keys             each request has an Idempotency-Key and is repeated with it until it is confirmed, after the load
                     for up to 30 s; then exactly 5 documents for each key are right
  --out FOLDER       where ids.txt is written; made if it is not there; default stress-test/out
  --settle TIME      something is missing: gives up when nothing has arrived for so long; default 2m
  --quiet-period TIME
                     all is there: judges when nothing more has arrived for so long; default 30s
  --summary FILE     what k6 wrote for --summary-export
  --ids FILE         what k6 wrote for --console-output
  --documents-before N
                     documents with ids of keys from before a run of k6 with keys; default 0
  --json             prints the findings as JSON
  --help             this text

API_TOKEN is the api's bearer token, where it wants one.
MONGODB_URI names the MongoDB to look in, default mongodb://127.0.0.1:27017/assessmentdb.
The writer has to be running, and nothing else may write meanwhile.
Exit code: 0 passed, 1 failed, 2 nothing was judged (bad usage, or a part that is not there),
130 stopped by Ctrl-C or SIGTERM.

Examples:
  npm run audit -- --base-url http://127.0.0.1:3000 --duration 10s
  npm run audit -- --base-url http://127.0.0.1:3000 --duration 10s --keys
  npm run audit -- --summary stress-test/out/summary.json --ids stress-test/out/ids.txt --json
`;

export interface AuditOptions {
  source:
    | {
        kind: 'load';
        baseUrl: string;
        token: string | undefined;
        connections: number;
        durationMs: number;
        folder: string;
        isKeyed: boolean;
      }
    | { kind: 'k6'; summary: string; ids: string; documentsBefore: number };
  settleMs: number;
  quietMs: number;
  isJson: boolean;
}

const flags = {
  'base-url': { type: 'string' },
  connections: { type: 'string' },
  duration: { type: 'string' },
  keys: { type: 'boolean' },
  out: { type: 'string' },
  settle: { type: 'string' },
  'quiet-period': { type: 'string' },
  summary: { type: 'string' },
  ids: { type: 'string' },
  'documents-before': { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

/** @throws BadUsage. */
export function readOptions(args: string[], env: NodeJS.ProcessEnv): AuditOptions | 'help' {
  const { values } = parseFlags(args, flags);
  if (values.help) return 'help';
  return {
    source: readSource(values, env),
    settleMs: readTime('--settle', values.settle ?? '2m'),
    quietMs: readTime('--quiet-period', values['quiet-period'] ?? '30s'),
    isJson: values.json ?? false,
  };
}

type Values = ReturnType<typeof parseFlags<typeof flags>>['values'];

function readSource(values: Values, env: NodeJS.ProcessEnv): AuditOptions['source'] {
  const { summary, ids, 'documents-before': before } = values;
  if (summary === undefined && ids === undefined) {
    if (before !== undefined) {
      throw new BadUsage(
        '--documents-before: must be used with --summary and --ids; a load of its own counts them',
      );
    }
    return {
      kind: 'load',
      baseUrl: readBaseUrl(values['base-url'] ?? (env.BASE_URL || 'http://assessment.local')),
      // Not a flag: everybody on the machine can read the command lines of others.
      token: env.API_TOKEN || undefined,
      connections: readWholeNumber('--connections', values.connections ?? '100', 1, 20_000),
      durationMs: readTime('--duration', values.duration ?? '30s'),
      folder: readFolder(values.out ?? defaultOutFolder),
      isKeyed: values.keys ?? false,
    };
  }
  for (const name of ['base-url', 'connections', 'duration', 'keys', 'out'] as const) {
    if (values[name]) throw new BadUsage(`--${name}: not with --summary and --ids, which drive no load`);
  }
  if (!summary) throw new BadUsage('--summary: wants a file beside --ids');
  if (!ids) throw new BadUsage('--ids: wants a file beside --summary');
  const documentsBefore = readWholeNumber('--documents-before', before ?? '0', 0, Number.MAX_SAFE_INTEGER);
  return { kind: 'k6', summary, ids, documentsBefore };
}

export function readBaseUrl(text: string): string {
  const url = URL.parse(text);
  const isPlain = url && /^https?:$/.test(url.protocol) && !url.search && !url.hash;
  if (!isPlain) throw new BadUsage('--base-url: wants a URL such as http://127.0.0.1:3000');
  return url.href.replace(/\/+$/, '');
}
