/** What the commands print: text for people, JSON for programs. */
import { BSON } from 'mongodb';
import { formatCount } from '../command-line/count.ts';
import type { Done, Listing } from './commands.ts';
import { type Letter, readContent, summarize } from './letter.ts';

/** Of unreadable data, in text; JSON has all of it. */
const shownBytesMax = 1_024;

export function formatListing({ letters, isCut }: Listing, isJson: boolean): string {
  if (isJson) return `${JSON.stringify({ letters, isCut })}\n`;
  if (letters.length === 0) return `No dead letters${isCut ? ' so far' : ''}.\n`;
  const count = `${isCut ? 'At least ' : ''}${formatCount(letters.length)} dead ${letters.length === 1 ? 'letter' : 'letters'}.`;
  const rows = letters.map(({ id, publishTime, bytes, writes, reason }) => [
    id,
    publishTime,
    formatCount(bytes),
    writes === null ? '–' : formatCount(writes),
    printable(reason),
  ]);
  return `${formatTable([['ID', 'PUBLISHED', 'BYTES', 'WRITES', 'REASON'], ...rows])}\n\n${count}\n`;
}

export function formatLetter(letter: Letter, isJson: boolean): string {
  const { envelope, problem } = toExtendedJson(letter);
  if (isJson) {
    return `${JSON.stringify({ ...summarize(letter), data: letter.data.toString('base64'), envelope, problem })}\n`;
  }
  const { id, publishTime, bytes } = summarize(letter);
  const attributes = Object.entries(letter.attributes).map(([key, value]) => [
    printable(key),
    printable(value),
  ]);
  const head = formatTable([
    ['id', id],
    ['published', publishTime],
    ['bytes', formatCount(bytes)],
    ...attributes,
  ]);
  const body = problem
    ? `No envelope (${printable(problem)}). ${formatBytes(letter.data)}`
    : JSON.stringify(envelope, null, 2);
  return `${head}\n\n${body}\n`;
}

/** The writes in MongoDB's Extended JSON, or why there are none to be shown. */
function toExtendedJson(letter: Letter): { envelope: unknown; problem: string | null } {
  const content = readContent(letter);
  if ('problem' in content) return { envelope: null, problem: content.problem };
  try {
    const envelope = BSON.EJSON.serialize(content.writes);
    JSON.stringify(envelope);
    return { envelope, problem: null };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return { envelope: null, problem: 'its documents are nested too deep to be printed' };
  }
}

export function formatDone(name: 'replay' | 'drop', done: Done, isJson: boolean): string {
  if (isJson) return `${JSON.stringify(done)}\n`;
  const lines = [`${formatCount(done.ids.length)} ${name === 'replay' ? 'replayed' : 'dropped'}.`];
  if (done.cameBack > 0) {
    lines.push(
      `${formatCount(done.cameBack)} came back already: the writer could not store them this time either.`,
    );
  }
  for (const { id, reason } of done.failed) lines.push(`${printable(id)}: not done: ${printable(reason)}`);
  for (const id of done.missing) lines.push(`${printable(id)}: no such dead letter`);
  if (done.brokenOff !== undefined) lines.push(`Broken off: ${printable(done.brokenOff)}`);
  return `${lines.join('\n')}\n`;
}

/** The last column is not padded. */
function formatTable(rows: string[][]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row.map((cell, at) => (at < row.length - 1 ? cell.padEnd(widths[at] ?? 0) : cell)).join('  '),
    )
    .join('\n');
}

function formatBytes(data: Buffer): string {
  if (data.length === 0) return 'It has no data.';
  const shown = data.subarray(0, shownBytesMax).toString('base64');
  const which = data.length > shownBytesMax ? `The first ${formatCount(shownBytesMax)} bytes` : 'Its bytes';
  return `${which} in base64:\n${shown}`;
}

/** What came from outside, without what would steer a terminal. */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (character) => {
    return `\\u{${character.codePointAt(0)?.toString(16)}}`;
  });
}
