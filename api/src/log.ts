/** Logs: one JSON line each on standard output, without payloads, URIs or other secrets. */
import { type Logger, pino } from 'pino';

/** On a terminal, where the project's own tools are installed, a line for people instead. */
const pretty = process.stdout.isTTY ? await import('pino-pretty').catch(() => undefined) : undefined;

export type { Logger } from 'pino';

export function createLogger(name: string, level: string): Logger {
  const options = {
    name,
    level,
    timestamp: pino.stdTimeFunctions.isoTime,
    serializers: { err: describeError },
  };
  if (!pretty) return pino(options);
  return pino(options, pretty.default({ ignore: 'pid,hostname', translateTime: 'HH:MM:ss.l', sync: true }));
}

/**
 * What an error says and where it comes from. Not the fields that its maker hung on it: MongoDB's driver has
 * whole documents there, and ids by the thousand, 70 kB for one failed bulkWrite.
 */
function describeError(error: unknown) {
  if (!(error instanceof Error)) return withoutValues(String(error));
  const { type, message, code, stack } = pino.stdSerializers.err(error);
  return { type, message: withoutValues(message), code, stack: withoutValues(stack) };
}

/** MongoDB quotes what a document holds in `E11000 duplicate key error … dup key: { payload: "…" }`, up to the stack. */
function withoutValues(text: string): string {
  return text.replace(/ dup key: [\s\S]*?(?=\n {4}at |$)/g, '');
}
