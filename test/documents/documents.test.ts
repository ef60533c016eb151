/** Every command of every document is run, here or by what proofs.ts names. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { runKubectl } from '../kubernetes/apiserver.ts';
import { startApi } from '../parts.ts';
import { needs } from '../programs.ts';
import { scriptFiles } from '../scripts.ts';
import { startSystem } from '../system.ts';
import { documents, partsOf, readCommands, root, wordsOf } from './commands.ts';
import { others, programs } from './proofs.ts';

const run = promisify(execFile);
const parts = documents
  .flatMap(readCommands)
  .flatMap(({ document, text }) => partsOf(text).map((part) => ({ document, part, words: wordsOf(part) })));

/** Once each. */
function partsLike(pattern: RegExp): string[] {
  const found = [...new Set(parts.map(({ part }) => part))].filter((part) => pattern.test(part));
  assert.ok(found.length > 0, `the documents have ${pattern}`);
  return found;
}

/** The program of this project that a command starts, and its arguments. */
function programOf(words: string[]): { file: string; args: string[] } | undefined {
  const [first = '', second = '', third = ''] = words;
  if (first === 'npm') {
    const file = scriptFiles[second === 'run' ? third : second === 'start' ? second : ''];
    const separator = words.indexOf('--');
    return file === undefined ? undefined : { file, args: separator < 0 ? [] : words.slice(separator + 1) };
  }
  const [command = '', file = '', ...args] = first === 'npx' ? words.slice(1) : words;
  if (!/(^|\/)node$/.test(command) || !/\.[jt]s$/.test(file)) return undefined;
  return { file, args: args.filter((arg) => arg !== '[flags]') };
}

/** What the tests below run as it stands, or ask whether it would take what it is given. */
const runHere = {
  kubectl: /^kubectl /,
  scripts: /^([A-Z_]+=('[^']*'|\S+) )*\.\/(setup|cleanup)\.sh\b/,
  requests: /^curl .*http:\/\/127\.0\.0\.1:3000\//,
  token: /^openssl rand /,
};

function proofOf(part: string) {
  return others.find(
    ([beginning]) => part === beginning || part.startsWith(beginning + (/\w$/.test(beginning) ? ' ' : '')),
  );
}

test('every command is run by a test or by CI, or it is said why not', () => {
  const unknown = parts.filter(({ part, words }) => {
    if (Object.values(runHere).some((pattern) => pattern.test(part))) return false;
    const program = programOf(words);
    return program ? !programs[program.file] : !proofOf(part);
  });
  assert.deepEqual(
    unknown.map(({ document, part }) => `${document}: ${part}`),
    [],
    'what runs these belongs into proofs.ts',
  );
});

test('what runs a command is there, and for a command that is there', () => {
  const used = parts.map(({ part }) => proofOf(part)?.[0]);
  assert.deepEqual(
    others.map(([beginning]) => beginning).filter((beginning) => !used.includes(beginning)),
    [],
    'no document has these any more',
  );
  for (const [command, proof] of [...Object.entries(programs), ...others]) {
    if ('unproven' in proof) continue;
    assert.ok(readFileSync(join(root, proof.by), 'utf8').includes(proof.text), `${command}: ${proof.by}`);
  }
});

test('every program takes the arguments that documents give it', async () => {
  for (const { document, part, words } of parts) {
    const { file, args } = programOf(words) ?? { file: '', args: [] };
    if (args.length === 0) continue;
    const read = programs[file]?.read;
    const taking = read
      ? async () => read(args)
      : () => run(process.execPath, [join(root, file), ...args, '--help']);
    await assert.doesNotReject(taking(), `${document}: ${part}`);
  }
});

test('./setup.sh and ./cleanup.sh take the flags that documents give them', async () => {
  for (const part of partsLike(runHere.scripts)) {
    await assert.doesNotReject(run('bash', ['-c', `${part} --help`], { cwd: root }), part);
  }
});

test('kubectl knows every command and flag', needs('kubernetes'), async () => {
  const checks = partsLike(runHere.kubectl).map(async (part) => {
    const words = wordsOf(part).slice(1);
    const end = words.indexOf('--');
    const { code, stdout, stderr } = await runKubectl([
      ...words.slice(0, end < 0 ? undefined : end),
      '--help',
    ]);
    assert.equal(code, 0, `${part}: ${stderr}`);
    // Which it says of a command that goes on, when it does not know how this one does.
    assert.doesNotMatch(stdout, /^ *kubectl .*SUBCOMMAND/m, part);
  });
  await Promise.all(checks);
});

test('requests are answered as they are written down', needs('mongodb', 'openssl'), async (context) => {
  const system = await startSystem();
  context.after(() => system.stop());
  const [token = ''] = partsLike(runHere.token);
  const API_TOKEN = (await run('sh', ['-c', token])).stdout.trim();
  await using guarded = await startApi({ ...system, env: { API_TOKEN } });
  const answers: string[] = [];
  for (const request of partsLike(runHere.requests)) {
    const { url } = request.includes('$API_TOKEN') ? guarded : system.api;
    const asked = request
      .replace('curl', 'curl --fail --silent --show-error')
      .replace('http://127.0.0.1:3000', url);
    const { stdout } = await run('sh', ['-c', asked], { env: { ...process.env, API_TOKEN } });
    answers.push(stdout);
  }
  assert.equal(answers.filter((answer) => answer.includes('"status":"success"')).length, 3);
  assert.equal(answers.filter((answer) => answer.includes('"total_documents":')).length, 1);
  assert.equal(answers.filter((answer) => answer.includes('"status":"ready"')).length, 1);
});
