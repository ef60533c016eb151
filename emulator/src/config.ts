/**
 * The emulator's settings: flags over environment over defaults. All bad ones are named at once. Without zod, whose
 * loading takes a fifth of a start.
 */
import { parseArgs } from 'node:util';
import { isProjectId } from './broker/names.ts';

const hostPort = /^(\[[0-9a-fA-F:]+\]|[0-9A-Za-z._-]+):(\d{1,5})$/;

/** As a browser sends it, without a path: https://fetch.spec.whatwg.org/#origin-header */
const corsOrigin = /^(\*|https?:\/\/[a-z0-9.:[\]-]+)$/;

interface Setting {
  /** Of the environment. */
  variable: string;
  accepts?: (text: string) => boolean;
  /** What a text that it does not accept should be. */
  wants?: string;
  /** A flag without a value. */
  isSwitch?: boolean;
}

const settings = {
  'host-port': {
    variable: 'EMULATOR_HOST_PORT',
    accepts: (text) => Number(hostPort.exec(text)?.[2]) <= 65_535,
    wants: 'host:port such as 127.0.0.1:8085, with a port up to 65535',
  },
  project: {
    variable: 'PUBSUB_PROJECT_ID',
    accepts: isProjectId,
    wants: 'a project id of letters, digits and ._:-, at most 63',
  },
  'data-dir': { variable: 'EMULATOR_DATA_DIR' },
  'data-bytes-max': {
    variable: 'EMULATOR_DATA_BYTES_MAX',
    accepts: (text) => /^\d{8,15}$/.test(text),
    wants: 'a number of bytes, at least 10000000',
  },
  durability: {
    variable: 'EMULATOR_DURABILITY',
    accepts: (text) => text === 'disk' || text === 'process',
    wants: 'disk or process',
  },
  declare: { variable: 'EMULATOR_DECLARE' },
  'cors-origins': {
    variable: 'EMULATOR_CORS_ORIGINS',
    accepts: (text) => text.split(',').every((origin) => corsOrigin.test(origin)),
    wants: 'origins such as https://shop.test, with commas between them, or *',
  },
  'test-endpoints': {
    variable: 'EMULATOR_TEST_ENDPOINTS',
    accepts: (text) => ['true', '1', 'false', '0'].includes(text),
    wants: 'true or false',
    isSwitch: true,
  },
} satisfies Record<string, Setting>;

type SettingName = keyof typeof settings;
const names = Object.keys(settings) as SettingName[];

export interface Config {
  host: string;
  port: number;
  project: string | undefined;
  dataDir: string;
  dataBytesMax: number | undefined;
  durability: 'disk' | 'process';
  declarations: string | undefined;
  corsOrigins: string[];
  hasTestEndpoints: boolean;
}

export const usage = `A Pub/Sub emulator that keeps what it confirms.

  node emulator/src/main.js [flags]

  --host-port=127.0.0.1:8085   where it listens; EMULATOR_HOST_PORT
  --project=ID                 the only project it serves, any without it; PUBSUB_PROJECT_ID
  --data-dir=.data/emulator    its folder; EMULATOR_DATA_DIR
  --data-bytes-max=BYTES       over it a publish is refused (default 10 GiB); EMULATOR_DATA_BYTES_MAX
  --durability=disk            disk: a confirmed message survives the machine; process: only the end of the
                               process, without a sync; EMULATOR_DURABILITY
  --declare=FILE-OR-JSON       topics and subscriptions that are there before it answers; EMULATOR_DECLARE
  --cors-origins=ORIGINS       of web pages that may call it, beside those of this machine, with commas between
                               them; * is any; EMULATOR_CORS_ORIGINS
  --test-endpoints             POST /_emulator/reset deletes everything, PUT /_emulator/faults injects errors and
                               delays; without it they answer 403; EMULATOR_TEST_ENDPOINTS=true
  --help                       this text

Exit code: 0 stopped by SIGTERM or Ctrl-C, 1 it could not start or go on, 2 bad settings.

Examples:
  node emulator/src/main.js --project=my-project
  node emulator/src/main.js --host-port=127.0.0.1:0 --data-dir=/tmp/emulator --declare=topics.json
`;

/** Thrown for bad settings; `message` has a line for each. */
export class InvalidConfig extends Error {
  override name = 'InvalidConfig';
}

/** @returns the settings, or 'help' when that was asked for. @throws InvalidConfig */
export function readConfig(args: readonly string[], env: NodeJS.ProcessEnv): Config | 'help' {
  const flags = readFlags(args);
  if (flags.help) return 'help';
  const given: Partial<Record<SettingName, string>> = {};
  const problems: string[] = [];
  for (const name of names) {
    const { variable, accepts, wants }: Setting = settings[name];
    // An empty one counts as not given.
    const text = String(flags[name] || env[variable] || '');
    if (text === '') continue;
    given[name] = text;
    if (accepts?.(text) === false) problems.push(`  --${name} (${variable}): wants ${wants}`);
  }
  if (problems.length > 0) throw new InvalidConfig(`Bad settings:\n${problems.join('\n')}`);
  const [, host = '', port = ''] = hostPort.exec(given['host-port'] ?? '127.0.0.1:8085') ?? [];
  const dataBytesMax = given['data-bytes-max'];
  return {
    host: host.replace(/^\[|\]$/g, ''),
    port: Number(port),
    project: given.project,
    dataDir: given['data-dir'] ?? '.data/emulator',
    dataBytesMax: dataBytesMax === undefined ? undefined : Number(dataBytesMax),
    durability: given.durability === 'process' ? 'process' : 'disk',
    declarations: given.declare,
    corsOrigins: given['cors-origins']?.split(',') ?? [],
    hasTestEndpoints: ['true', '1'].includes(given['test-endpoints'] ?? ''),
  };
}

function readFlags(args: readonly string[]): Record<string, unknown> {
  const types = names.map((name) => {
    const { isSwitch }: Setting = settings[name];
    return [name, { type: isSwitch ? ('boolean' as const) : ('string' as const) }];
  });
  const options = { ...Object.fromEntries(types), help: { type: 'boolean' as const, short: 'h' } };
  try {
    return parseArgs({ args: [...args], options, strict: true }).values;
  } catch (cause) {
    throw new InvalidConfig((cause as Error).message, { cause });
  }
}
