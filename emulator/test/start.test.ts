/** What a start loads. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { createFolder } from '../../test/process.ts';

const main = join(import.meta.dirname, '../src/main.js');
const tell = `data:text/javascript,process.once('exit', () => console.log(process.moduleLoadList.join()))`;

test('loads what strips types at its first start only', () => {
  const env = { ...process.env, TMPDIR: createFolder(), NODE_COMPILE_CACHE: undefined };
  const [first, second] = [1, 2].map(() => {
    const output = execFileSync(process.execPath, [`--import=${tell}`, main, '--help'], { env });
    return output.includes('internal/deps/amaro');
  });
  assert.deepEqual({ first, second }, { first: true, second: false });
});
