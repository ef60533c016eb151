/** The stress test's command line. */
import { BadUsage, parseFlags, readFolder, readTime, readWholeNumber } from '../command-line/flags.ts';
import { readBaseUrl } from './audit-options.ts';
import { defaultOutFolder } from './out-folder.ts';

export const help = `Runs the stress test in k6, then the audit, and says whether both passed.

  npm run stress -- [--base-url URL] [--profile full|short] [--think-time SECONDS] [--out FOLDER] …
  npm run stress -- [--users N] [--duration TIME] …

  --base-url URL        where the api is; default $BASE_URL or http://assessment.local
  --profile NAME        full: the assessment's, 13 minutes and up to 10,000 users; short: a tenth of the time
  --users N             as many all the time instead of a profile, 1 to 10000; default 100 beside --duration
  --duration TIME       of that, such as 30s or 5m; default 30s beside --users
  --think-time SECONDS  between a user's requests, 0 to 3600; default 0
  --keys                each request has an Idempotency-Key and is repeated with it until it is confirmed; then exactly 5
                        documents for each key are right. Ctrl-C breaks requests off unconfirmed, so that run fails
  --out FOLDER          where k6's summary and the ids are written; default stress-test/out
  --settle TIME         the audit gives up when something is missing and nothing has arrived for so long; default 2m
  --quiet-period TIME   the audit judges when all is there and nothing more has arrived for so long; default 30s
  --help                this text

API_TOKEN is the api's bearer token, where it wants one.
MONGODB_URI names the MongoDB to look in, default mongodb://127.0.0.1:27017/assessmentdb.
k6 is looked for on PATH and where \`go install\` puts it. Ctrl-C ends the load early; the audit follows.
Exit code: 0 passed, 1 failed, 2 nothing was judged (bad usage, or a part that is not there),
130 stopped by Ctrl-C or SIGTERM.

Examples:
  npm run stress -- --base-url http://127.0.0.1:3000 --users 100 --duration 30s
  npm run stress -- --base-url http://127.0.0.1:3000 --profile short --think-time 5
  npm run stress -- --base-url http://127.0.0.1:3000 --users 100 --duration 30s --keys
  npm run stress
`;

export interface StressOptions {
  baseUrl: string;
  folder: string;
  /** Of `k6 run`, before the script. */
  k6Args: string[];
  k6Environment: Record<string, string>;
  isKeyed: boolean;
  /** Passed on to the audit. */
  auditArgs: string[];
}

const flags = {
  'base-url': { type: 'string' },
  profile: { type: 'string' },
  users: { type: 'string' },
  duration: { type: 'string' },
  'think-time': { type: 'string' },
  keys: { type: 'boolean' },
  out: { type: 'string' },
  settle: { type: 'string' },
  'quiet-period': { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const;

/** @throws BadUsage. */
export function readStressOptions(args: string[], env: NodeJS.ProcessEnv): StressOptions | 'help' {
  const { values } = parseFlags(args, flags);
  if (values.help) return 'help';
  const baseUrl = readBaseUrl(values['base-url'] ?? (env.BASE_URL || 'http://assessment.local'));
  const isSteady = values.users !== undefined || values.duration !== undefined;
  if (isSteady && values.profile !== undefined) {
    throw new BadUsage('--profile: not with --users and --duration, which replace it');
  }
  const durationMs = readTime('--duration', values.duration ?? '30s');
  const users = readWholeNumber('--users', values.users ?? '100', 1, 10_000);
  const auditArgs = (['settle', 'quiet-period'] as const).flatMap((name) => {
    const text = values[name];
    if (text === undefined) return [];
    readTime(`--${name}`, text);
    return [`--${name}`, text];
  });
  return {
    baseUrl,
    folder: readFolder(values.out ?? defaultOutFolder),
    k6Args: isSteady ? ['--vus', String(users), '--duration', `${durationMs / 1000}s`] : [],
    k6Environment: {
      BASE_URL: baseUrl,
      PROFILE: readProfile(values.profile ?? 'full'),
      THINK_TIME: String(readWholeNumber('--think-time', values['think-time'] ?? '0', 0, 3_600)),
      KEYS: String(values.keys ?? false),
    },
    isKeyed: values.keys ?? false,
    auditArgs,
  };
}

function readProfile(text: string): string {
  if (text !== 'full' && text !== 'short') throw new BadUsage('--profile: wants full or short');
  return text;
}
