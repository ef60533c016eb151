/** The emulator's settings: flags over environment over defaults. All bad ones are named at once. */
import { parseArgs } from 'node:util';
import { z } from 'zod';

const hostPort = /^(\[[0-9a-fA-F:]+\]|[0-9A-Za-z._-]+):(\d{1,5})$/;

const schema = z.object({
  'host-port': z
    .string()
    .regex(hostPort, { error: 'wants host:port such as 127.0.0.1:8085' })
    .refine((text) => Number(hostPort.exec(text)?.[2]) <= 65_535, { error: 'wants a port up to 65535' })
    .default('127.0.0.1:8085'),
  project: z
    .string()
    .regex(/^[^\s/]+$/, { error: 'wants a project id' })
    .optional(),
  'data-dir': z.string().default('.data/emulator'),
  'data-bytes-max': z
    .string()
    .regex(/^\d{8,15}$/, { error: 'wants a number of bytes, at least 10000000' })
    .transform(Number)
    .optional(),
  durability: z.enum(['disk', 'process'], { error: 'wants disk or process' }).default('disk'),
  declare: z.string().optional(),
  'test-endpoints': z
    .stringbool({ truthy: ['true', '1'], falsy: ['false', '0'], error: 'wants true or false' })
    .default(false),
});

const variables: Record<keyof z.input<typeof schema>, string> = {
  'host-port': 'EMULATOR_HOST_PORT',
  project: 'PUBSUB_PROJECT_ID',
  'data-dir': 'EMULATOR_DATA_DIR',
  'data-bytes-max': 'EMULATOR_DATA_BYTES_MAX',
  durability: 'EMULATOR_DURABILITY',
  declare: 'EMULATOR_DECLARE',
  'test-endpoints': 'EMULATOR_TEST_ENDPOINTS',
};
/** Flags without a value. */
const switches: readonly string[] = ['test-endpoints'];

export interface Config {
  host: string;
  port: number;
  project: string | undefined;
  dataDir: string;
  dataBytesMax: number | undefined;
  durability: 'disk' | 'process';
  declarations: string | undefined;
  hasTestEndpoints: boolean;
}

export const usage = `A Pub/Sub emulator that keeps what it confirms.

  node emulator/src/main.ts [flags]

  --host-port=127.0.0.1:8085   where it listens; EMULATOR_HOST_PORT
  --project=ID                 the only project it serves, any without it; PUBSUB_PROJECT_ID
  --data-dir=.data/emulator    its folder; EMULATOR_DATA_DIR
  --data-bytes-max=BYTES       over it a publish is refused (default 10 GiB); EMULATOR_DATA_BYTES_MAX
  --durability=disk            disk: a confirmed message survives the machine; process: only the end of the
                               process, without a sync; EMULATOR_DURABILITY
  --declare=FILE-OR-JSON       topics and subscriptions that are there before it answers; EMULATOR_DECLARE
  --test-endpoints             POST /_emulator/reset deletes everything, PUT /_emulator/faults injects errors and
                               delays; without it they answer 403; EMULATOR_TEST_ENDPOINTS=true
  --help
`;

/** Thrown for bad settings; `message` has a line for each. */
export class InvalidConfig extends Error {
  override name = 'InvalidConfig';
}

/** @returns the settings, or 'help' when that was asked for. @throws InvalidConfig */
export function readConfig(args: readonly string[], env: NodeJS.ProcessEnv): Config | 'help' {
  const flags = readFlags(args);
  if (flags.help) return 'help';
  const given = Object.fromEntries(
    Object.entries(variables).map(([flag, variable]) => {
      const value = flags[flag] || env[variable];
      return [flag, value === true ? 'true' : value || undefined];
    }),
  );
  const result = schema.safeParse(given);
  if (!result.success) {
    const lines = result.error.issues.map((issue) => {
      const flag = String(issue.path[0]) as keyof typeof variables;
      return `  --${flag} (${variables[flag]}): ${issue.message}`;
    });
    throw new InvalidConfig(`Bad settings:\n${lines.join('\n')}`);
  }
  const { data } = result;
  const [, host = '', port = ''] = hostPort.exec(data['host-port']) ?? [];
  return {
    host: host.replace(/^\[|\]$/g, ''),
    port: Number(port),
    project: data.project,
    dataDir: data['data-dir'],
    dataBytesMax: data['data-bytes-max'],
    durability: data.durability,
    declarations: data.declare,
    hasTestEndpoints: data['test-endpoints'],
  };
}

function readFlags(args: readonly string[]): Record<string, unknown> {
  const types = Object.keys(variables).map((flag) => {
    const type: 'boolean' | 'string' = switches.includes(flag) ? 'boolean' : 'string';
    return [flag, { type }];
  });
  const options = { ...Object.fromEntries(types), help: { type: 'boolean' as const, short: 'h' } };
  try {
    return parseArgs({ args: [...args], options, strict: true }).values;
  } catch (cause) {
    throw new InvalidConfig(`${(cause as Error).message}\n\n${usage}`, { cause });
  }
}
