/**
 * The environment variables that every process shares, and the one way in which
 * any process reads its own: checked by zod at the start, all bad ones named at once.
 */
import { z } from 'zod';
import { problemOfUri } from './mongo-uri.ts';

const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

/** A whole number from the environment, with its bounds and its default. */
export function integer(fallback: number, { min, max }: { min: number; max: number }) {
  const wants = `a whole number from ${min} to ${max}`;
  return z
    .string()
    .regex(/^\d{1,15}$/, { error: `wants ${wants}` })
    .transform(Number)
    .refine((value) => value >= min && value <= max, { error: `wants ${wants}` })
    .default(fallback);
}

/** A port to listen on; 0 is any free one. */
export function port(fallback: number) {
  return integer(fallback, { min: 0, max: 65_535 });
}

function isHostAndPort(text: string): boolean {
  const port = /^(?:\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+):(\d{1,5})$/.exec(text)?.[1];
  return port !== undefined && Number(port) >= 1 && Number(port) <= 65_535;
}

/** Where another process listens. */
export function hostAndPort(wants = 'host:port such as 127.0.0.1:3001') {
  return z
    .string()
    .refine(isHostAndPort, { error: `wants ${wants}` })
    .optional();
}

export const sharedVariables = {
  MONGODB_URI: z
    .string()
    .superRefine((uri, context) => {
      const message = problemOfUri(uri);
      if (message !== undefined) context.addIssue({ code: 'custom', message });
    })
    .default('mongodb://127.0.0.1:27017/assessmentdb'),
  PUBSUB_EMULATOR_HOST: hostAndPort(
    'host:port such as 127.0.0.1:8085, without http://; unset it for the real Pub/Sub',
  ),
  PUBSUB_PROJECT_ID: z
    .string()
    .regex(/^[a-z][a-z0-9-]{4,28}[a-z0-9]$/, {
      error: 'wants a Google Cloud project id: 6 to 30 lower-case letters, digits and hyphens',
    })
    .default('assessment-project'),
  HOST: z
    .string()
    .regex(/^[0-9A-Za-z.:_-]+$/, { error: 'wants an address to listen on, such as 127.0.0.1 or 0.0.0.0' })
    .default('127.0.0.1'),
  /** Where traces go, by OTLP over HTTP; unset: there are none (tracing.ts). The names are OpenTelemetry's. */
  OTEL_EXPORTER_OTLP_ENDPOINT: z
    .url({ protocol: /^https?$/, error: 'wants a URL such as http://127.0.0.1:4318' })
    .optional(),
  /**
   * The share of requests without a trace of their own that begin one. Spans are sent 512 a call, one call after the
   * other, and dropped when 8,192 wait (otlp-tracing.ts): where a call takes 50 ms, from 10,000 a second on. A request
   * is one in the api, and each envelope one in both; so 1 is for some thousand requests a second, less for more.
   */
  OTEL_TRACES_SAMPLER_ARG: z.coerce
    .number({ error: 'wants a number from 0 to 1' })
    .min(0, { error: 'wants a number from 0 to 1' })
    .max(1, { error: 'wants a number from 0 to 1' })
    .default(1),
  LOG_LEVEL: z.enum(logLevels, { error: `wants one of ${logLevels.join(', ')}` }).default('info'),
} as const;

/** Thrown for bad variables; `message` has a line for each, with its name and what it wants, never its value. */
export class InvalidEnvironment extends Error {
  override name = 'InvalidEnvironment';
}

/**
 * Parses `env` by `schema`. An empty string counts as unset, as `NAME= command` in a shell means it.
 * @throws InvalidEnvironment that names every bad variable. Values stay out of it: a URI may hold a password.
 */
export function readEnvironment<Schema extends z.ZodType>(
  schema: Schema,
  env: NodeJS.ProcessEnv,
): z.output<Schema> {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
  const result = schema.safeParse(given);
  if (result.success) return result.data;
  const lines = result.error.issues.map((issue) => `  ${issue.path.join('.')}: ${issue.message}`);
  throw new InvalidEnvironment(`Bad environment variables:\n${lines.join('\n')}`);
}

/** For `main.ts` alone: the configuration, or the message on standard error and exit 1. */
export function readEnvironmentOrExit<Schema extends z.ZodType>(schema: Schema): z.output<Schema> {
  try {
    return readEnvironment(schema, process.env);
  } catch (error) {
    if (!(error instanceof InvalidEnvironment)) throw error;
    console.error(error.message);
    process.exit(1);
  }
}
