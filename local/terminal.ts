/**
 * What the person in front of it reads: aligned lines of name and text. Colours and a progress line that
 * is rewritten in place only on a terminal; anywhere else plain lines, each written once.
 */
import { styleText } from 'node:util';

const nameWidth = 10;

/** How often a progress line that only shows that time passes is rewritten. */
const progressIntervalMs = 1_000;

interface Progress {
  /** Replaces the text on a terminal. Elsewhere the first text stands and the others are left out. */
  update(text: string): void;
  end(): void;
}

export interface Terminal {
  line(text?: string): void;
  /** One line of `name` and text; an empty name continues the one above. */
  entry(name: string, text: string): void;
  /** A secondary line under an entry. */
  note(text: string): void;
  /** Something that went wrong and is being dealt with. */
  warn(name: string, text: string, details?: string[]): void;
  error(text: string): void;
  progress(name: string, text: string): Progress;
}

export function createTerminal(stream: NodeJS.WriteStream = process.stdout): Terminal {
  // Reading it may end at any time, as with `npm start | head`; what runs must not end with it.
  stream.on('error', () => {});
  const shown: { end(): void }[] = [];

  function style(format: 'bold' | 'dim' | 'red' | 'yellow', text: string): string {
    return styleText(format, text, { stream });
  }

  function write(text: string): void {
    for (const progress of shown.splice(0)) progress.end();
    stream.write(`${text}\n`);
  }

  function indent(name: string): string {
    return `  ${style('bold', name.padEnd(nameWidth))} `;
  }

  return {
    line: (text = '') => write(text),
    entry: (name, text) => write(indent(name) + text),
    note: (text) => write(indent('') + style('dim', text)),
    warn(name, text, details = []) {
      write(indent(name) + style('yellow', text));
      for (const detail of details) write(indent('') + style('dim', detail));
    },
    error: (text) => write(style('red', text)),
    progress(name, text) {
      if (!stream.isTTY) {
        write(indent(name) + text);
        return { update() {}, end() {} };
      }
      const startedAt = performance.now();
      let latest = text;
      const draw = () => {
        const seconds = Math.round((performance.now() - startedAt) / 1000);
        const line = `  ${name.padEnd(nameWidth)} ${latest} (${seconds} s)`;
        stream.write(`\r\x1b[2K${line.slice(0, (stream.columns || 80) - 1)}`);
      };
      const timer = setInterval(draw, progressIntervalMs);
      let hasEnded = false;
      const progress = {
        update(next: string) {
          const isNews = next !== latest;
          latest = next;
          if (isNews && !hasEnded) draw();
        },
        end() {
          if (hasEnded) return;
          hasEnded = true;
          clearInterval(timer);
          stream.write('\r\x1b[2K');
        },
      };
      shown.push(progress);
      draw();
      return progress;
    },
  };
}

/** For what is said after the start. */
export function clockTime(): string {
  return new Date().toTimeString().slice(0, 8);
}
