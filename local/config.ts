/** The settings of `npm start`: the only reader of its environment. */
import { homedir } from 'node:os';
import { delimiter, isAbsolute, join, resolve } from 'node:path';
import { configSchema as apiSchema } from '@assessment/api/config';
import { port, readEnvironmentOrExit, sharedVariables } from '@assessment/api/environment';
import { z } from 'zod';
import { configSchema as writerSchema } from '../writer/src/config.ts';

export const projectRoot = join(import.meta.dirname, '..');

/** Tried first and, when taken, followed by the next free one. A port that is set is used or refused. */
export const defaultPorts = {
  PORT: 3000,
  WRITER_PORT: 3001,
  BROKER_PORT: 8085,
  MONGODB_PORT: 27_017,
} as const;

export type PortVariable = keyof typeof defaultPorts;

/** Of the dashboard's button, where nothing else is set: half a minute's work on a small machine. */
const burstRequestsMax = 20_000;

const optionalPort = port(0).unwrap().optional();

const configSchema = z
  .object({
    // What api and writer will read of this environment: a bad value is named here, not in their logs.
    ...writerSchema.shape,
    ...apiSchema.shape,
    MONGODB_URI: sharedVariables.MONGODB_URI.unwrap().optional(),
    PORT: optionalPort,
    WRITER_PORT: optionalPort,
    BROKER_PORT: optionalPort,
    MONGODB_PORT: optionalPort,
    BURST_REQUESTS_MAX: apiSchema.shape.BURST_REQUESTS_MAX.unwrap().optional(),
    DATA_DIR: z
      .string()
      .default(join(projectRoot, '.data'))
      .transform((folder) => resolve(folder)),
    XDG_CACHE_HOME: z
      .string()
      .refine(isAbsolute, { error: 'wants an absolute path' })
      .default(join(homedir(), '.cache')),
    JAVA_HOME: z.string().optional(),
    PATH: z.string().default(''),
  })
  .superRefine((config, context) => {
    for (const [name, beside] of [
      ['MONGODB_PORT', 'MONGODB_URI'],
      ['BROKER_PORT', 'PUBSUB_EMULATOR_HOST'],
    ] as const) {
      if (config[name] === undefined || config[beside] === undefined) continue;
      context.addIssue({
        code: 'custom',
        path: [name],
        message: `is for the one that npm start starts, and ${beside} names another; unset one of them`,
      });
    }
  });

export type Config = ReturnType<typeof readConfig>;

export function readConfig() {
  const config = readEnvironmentOrExit(configSchema);
  return {
    ...config,
    // The button is for who sits at this machine, not for everybody in its network.
    BURST_REQUESTS_MAX: config.BURST_REQUESTS_MAX ?? (isLoopback(config.HOST) ? burstRequestsMax : 0),
    /** Folders in which programs are looked for. */
    searchPath: config.PATH.split(delimiter).filter((folder) => folder !== ''),
    /** Programs fetched once, for every data folder. */
    cacheFolder: join(config.XDG_CACHE_HOME, 'assessment'),
    logFolder: join(config.DATA_DIR, 'logs'),
    /** What children inherit. */
    environment: process.env,
  };
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.');
}

export const help = `Starts MongoDB, the broker, the api and the writer on this machine, without Docker.

  npm start

  --help   this text

All settings are environment variables:

  MONGODB_URI           a MongoDB that runs already. Unset: mongod on PATH, else mongod downloaded
                        once, else SecantusDB (secantusd-rs on PATH or in the cache folder, else
                        installed once with pip)
  PUBSUB_EMULATOR_HOST  a Pub/Sub emulator that runs already, as host:port. Unset: the project's own
                        emulator, else Google's, found beside gcloud (needs Java)
  PUBSUB_PROJECT_ID     default assessment-project
  PORT                  of the api, default ${defaultPorts.PORT}
  HOST                  of the api, default 127.0.0.1; everything else listens on 127.0.0.1 always
  WRITER_PORT           of the writer's health, default ${defaultPorts.WRITER_PORT}
  BROKER_PORT           default ${defaultPorts.BROKER_PORT}
  MONGODB_PORT          default ${defaultPorts.MONGODB_PORT}
                        A default port that is taken is replaced by the next free one. 0: any free one
  BURST_REQUESTS_MAX    of the dashboard's button, default ${burstRequestsMax}. 0: no button, the default where HOST
                        is not loopback
  DATA_DIR              data and logs, default .data in the project
  XDG_CACHE_HOME        what is fetched goes to its folder assessment, default ~/.cache
  JAVA_HOME             the Java for Google's emulator. Unset: java on PATH
  LOG_LEVEL             of api and writer, default info

The settings of api/src/config.ts and writer/src/config.ts are passed on.
Ctrl-C drains and stops everything; once more stops at once.
Exit code: 0 stopped by Ctrl-C or SIGTERM, 1 it could not start or a setting is bad, 2 bad usage, 130 stopped at once.

Examples:
  npm start
  PORT=8080 DATA_DIR=/tmp/assessment npm start
  MONGODB_URI=mongodb://127.0.0.1:27017/assessmentdb npm start
`;
