/** What the command lines of all tools share: flags are read in one way, and what is wrong with one is named in one. */
import { type ParseArgsOptionsConfig, parseArgs } from 'node:util';
import { CannotRun } from './cannot-run.ts';

/** `message` names the option and what it wants. */
export class BadUsage extends CannotRun {
  override name = 'BadUsage';
}

/** @throws BadUsage for a flag that is not among `options`, or an argument where none is allowed. */
export function parseFlags<const Options extends ParseArgsOptionsConfig>(
  args: string[],
  options: Options,
  { allowPositionals = false } = {},
) {
  try {
    return parseArgs({ args, options, allowPositionals, strict: true });
  } catch (cause) {
    // Node goes on about arguments that begin with a dash, of which no command here has any.
    const [message] = (cause as Error).message.split('. To specify a positional argument', 1);
    throw new BadUsage(message, { cause });
  }
}

/** @throws BadUsage */
export function readWholeNumber(flag: string, text: string, min: number, max: number): number {
  const value = /^\d+$/.test(text) && text.length <= String(max).length ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw new BadUsage(`${flag}: wants a whole number from ${min} to ${max}`);
}

const unitMs: Record<string, number> = { s: 1_000, m: 60_000, h: 3_600_000 };

/** @param max such as 10m. @returns milliseconds. @throws BadUsage */
export function readTime(flag: string, text: string, max = '24h'): number {
  const timeMs = toMs(text);
  if (timeMs >= 1_000 && timeMs <= toMs(max)) return timeMs;
  throw new BadUsage(`${flag}: wants a time from 1s to ${max}, such as 30s or 5m`);
}

/** NaN for what is no time. */
function toMs(text: string): number {
  const [, value, unit = 's'] = /^(\d{1,6})([smh])?$/.exec(text) ?? [];
  return Number(value) * (unitMs[unit] ?? 0);
}

/** Of --out. @throws BadUsage */
export function readFolder(text: string): string {
  if (text === '') throw new BadUsage('--out: wants a folder');
  return text;
}
