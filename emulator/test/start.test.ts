/** What a start loads. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { createFolder } from '../../test/process.ts';

const [main, mainTs] = ['main.js', 'main.ts'].map((name) => join(import.meta.dirname, '../src', name)) as [
  string,
  string,
];
const tell = `data:text/javascript,process.once('exit', () => console.log(process.moduleLoadList.join()))`;

test('loads what strips types at its first start only', () => {
  const env = { ...process.env, TMPDIR: createFolder(), NODE_COMPILE_CACHE: undefined };
  const [first, second] = [1, 2].map(() => {
    const output = execFileSync(process.execPath, [`--import=${tell}`, main, '--help'], { env });
    return output.includes('internal/deps/amaro');
  });
  assert.deepEqual({ first, second }, { first: true, second: false });
});

test('starts by the name of the other services’ entries too', () => {
  const [help, same] = [main, mainTs].map((entry) =>
    execFileSync(process.execPath, [entry, '--help']).toString(),
  );
  assert.match(help ?? '', /--data-dir/);
  assert.equal(same, help);
});
