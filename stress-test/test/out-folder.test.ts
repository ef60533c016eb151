/** Where a command leaves its files. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createFolder } from '../../test/process.ts';
import { createOutFolder } from '../out-folder.ts';

test('a folder is made with those above it, used when it is there, and named when it cannot be', async () => {
  const folder = join(createFolder(), 'above/out');
  await createOutFolder(folder);
  await createOutFolder(folder);
  const file = join(folder, 'file');
  writeFileSync(file, '');
  for (const path of [file, join(file, 'out')]) {
    await assert.rejects(createOutFolder(path), { name: 'NotJudged', message: /^--out: E[A-Z]+: / });
  }
});
