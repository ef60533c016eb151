/** A terminal that keeps what is written, as a pipe gets it. */
import { Writable } from 'node:stream';
import { createTerminal, type Terminal } from '../terminal.ts';

export function createRecordingTerminal(): { terminal: Terminal; text(): string } {
  let text = '';
  const stream = new Writable({
    write(chunk, _encoding, done) {
      text += chunk;
      done();
    },
  });
  return { terminal: createTerminal(stream as unknown as NodeJS.WriteStream), text: () => text };
}
