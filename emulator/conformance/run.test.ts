/** The command line of the conformance suite. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

const run = promisify(execFile);
const program = join(import.meta.dirname, 'run.ts');

test('npm run conformance refuses to write the tables of a part of a run', async () => {
  for (const part of ['--only=push', '--against=ours', '--against=127.0.0.1:1']) {
    await assert.rejects(
      run(process.execPath, [program, '--write', part]),
      ({ code, stderr }) =>
        code === 2 && /^--write: wants a whole run against ours and google$/m.test(stderr),
    );
  }
});
