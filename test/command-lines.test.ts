/** What every command line has in common: --help with examples, exit codes, and a flag that it does not know. */
import assert from 'node:assert/strict';
import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createFolder, pressCtrlC } from './process.ts';
import { needs } from './programs.ts';
import { scriptFiles } from './scripts.ts';
import { until } from './until.ts';

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

/** Computed at once, or ended by Ctrl-C as they should be. */
const notInterrupted = ['stress-test/capacity/main.ts', 'emulator/src/main.js'];

/** Types are stripped once for all of them. */
const env = { ...process.env, NODE_COMPILE_CACHE: createFolder() };

/** @returns its exit code and what it printed. */
async function run(file: string, args: string[], environment: NodeJS.ProcessEnv = env) {
  const { promise, resolve } = Promise.withResolvers<{ code: unknown; stdout: string; stderr: string }>();
  execFile(process.execPath, [join(root, file), ...args], { env: environment }, (error, stdout, stderr) => {
    resolve({ code: error?.code ?? 0, stdout, stderr });
  });
  return promise;
}

for (const [command, file] of Object.entries(programs)) {
  test(`${command} explains itself with examples, and refuses a flag that it does not know`, async () => {
    const [helped, refused] = await Promise.all([run(file, ['--help']), run(file, ['--nonsense'])]);
    assert.deepEqual({ ...helped, stdout: '' }, { code: 0, stdout: '', stderr: '' });
    const [usage = '', examples = ''] = helped.stdout.split('\nExamples:\n');
    const name = command.replace(/ --$/, '');
    // A sentence, how it is called, flags, what else there is to know, exit codes, and then examples.
    const sections = [
      `^[A-Z].*\\.\n\n  ${name}`,
      '\n *--help +this text\n',
      '\nExit code: 0 .*(?:\n.+)* 2 (?:.+\n)+$',
    ];
    assert.match(usage, new RegExp(sections.join('[^]*')));
    assert.equal(/\s130 stopped/.test(usage), !notInterrupted.includes(file));
    assert.ok(examples.includes(name), `there is an example of ${name}`);

    const stderr = `Unknown option '--nonsense'\n${command} --help says more\n`;
    assert.deepEqual(refused, { code: 2, stdout: '', stderr });
  });
}

/** Those that need programs of this machine. */
const needing = [
  'stress-test/chaos/main.ts',
  'stress-test/bench/main.ts',
  'stress-test/bench/dashboard.ts',
  'stress-test/profile/main.ts',
  'test/screenshots.ts',
  'emulator/conformance/run.ts',
];

for (const file of needing) {
  test(`${file} says in a sentence what is missing on this machine, and exits 2`, async () => {
    const nowhere = createFolder();
    const bare = { ...env, PATH: nowhere, HOME: nowhere, XDG_CACHE_HOME: nowhere, CI: '' };
    const { code, stdout, stderr } = await run(file, [], bare);
    assert.match(stderr, /(?:^|\n)missing: [^\n]+\n$/);
    assert.deepEqual({ code, stdout }, { code: 2, stdout: '' });
  });
}

test('Ctrl-C ends what a measurement has started, with 130', needs('mongodb'), async (context) => {
  const TMPDIR = createFolder();
  const file = join(root, 'stress-test/bench/dashboard.ts');
  const child = spawn(process.execPath, [file], { env: { ...env, TMPDIR }, stdio: 'ignore' });
  context.after(() => child.kill());
  const exited = once(child, 'exit');
  await until(() => readdirSync(TMPDIR).length > 0);
  await pressCtrlC(child.pid as number);
  assert.deepEqual(await exited, [130, null]);
  assert.deepEqual(readdirSync(TMPDIR), []);
});

test('on a terminal the line of progress has a bar where the share is known', () => {
  const program =
    "import { showProgress } from './command-line/progress.ts'; showProgress('half', 0.5); showProgress('over', 1.5);";
  const command = `"${process.execPath}" --input-type=module --eval "${program}"`;
  const shown = execFileSync('script', ['--quiet', '--return', '--command', command, '/dev/null'], {
    cwd: root,
    encoding: 'utf8',
  });
  assert.match(shown, /█{10}░{10} half.*█{20} over/s);
});
