/** What every command line has in common: --help with examples, exit codes, and a flag that it does not know. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { createFolder } from './process.ts';
import { scriptFiles } from './scripts.ts';

const root = join(import.meta.dirname, '..');

/** By the command that they are called by: every script of package.json that is a program, and those that have none. */
const programs: Record<string, string> = {
  ...Object.fromEntries(Object.entries(scriptFiles).map(([name, file]) => [nameOf(name), file])),
  'npx node stress-test/bench/dashboard.ts': 'stress-test/bench/dashboard.ts',
  'node local/declare.ts': 'local/declare.ts',
  'node emulator/src/main.js': 'emulator/src/main.js',
};

function nameOf(script: string): string {
  return script === 'start' ? 'npm start --' : `npm run ${script} --`;
}

/** Types are stripped once for all of them. */
const env = { ...process.env, NODE_COMPILE_CACHE: createFolder() };

/** @returns its exit code and what it printed. */
async function run(file: string, flag: string) {
  const { promise, resolve } = Promise.withResolvers<{ code: unknown; stdout: string; stderr: string }>();
  execFile(process.execPath, [join(root, file), flag], { env }, (error, stdout, stderr) => {
    resolve({ code: error?.code ?? 0, stdout, stderr });
  });
  return promise;
}

for (const [command, file] of Object.entries(programs)) {
  test(`${command} explains itself with examples, and refuses a flag that it does not know`, async () => {
    const [helped, refused] = await Promise.all([run(file, '--help'), run(file, '--nonsense')]);
    assert.deepEqual({ ...helped, stdout: '' }, { code: 0, stdout: '', stderr: '' });
    const [usage = '', examples = ''] = helped.stdout.split('\nExamples:\n');
    const name = command.replace(/ --$/, '');
    assert.match(usage, /^[A-Z][^\n]*\.\n\n/, 'a sentence comes first');
    assert.ok(usage.includes(`\n  ${name}`), `the usage names ${name}`);
    assert.match(usage, /^ *--help +this text$/m);
    assert.match(helped.stdout, /^Exit code: 0 [\s\S]* 2 /m);
    assert.ok(examples.includes(name), `there is an example of ${name}`);

    const stderr = `Unknown option '--nonsense'\n${command} --help says more\n`;
    assert.deepEqual(refused, { code: 2, stdout: '', stderr });
  });
}
