/**
 * Logs: one JSON line each, of the shape that pino gives those of api and writer, and the text alone on a terminal. By
 * hand, because loading pino takes 17 ms of CPU at every start, which takes 120.
 */
const levels = { info: 30, warn: 40, error: 50 } as const;

/** Warnings and errors go to standard error. */
export function log(level: keyof typeof levels, msg: string): void {
  const { isTTY } = level === 'info' ? process.stdout : process.stderr;
  const line = { level: levels[level], time: new Date().toISOString(), name: 'emulator', msg };
  // By the console, which outlives a reader that went away.
  console[level](isTTY ? msg : JSON.stringify(line));
}
