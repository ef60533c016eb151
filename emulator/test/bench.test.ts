/** The bench runs through: every row is measured, or says why not. No figure is judged, since the machine is busy. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import type { Figure } from '../../stress-test/bench/figures.ts';
import { createFolder } from '../../test/process.ts';
import { rowNames } from '../bench/titles.ts';

const run = promisify(execFile);
const main = join(import.meta.dirname, '../bench/main.ts');

test('measures every row and writes table and JSON', async () => {
  const folder = createFolder();
  const { stdout } = await run(process.execPath, [main, '--quick', '--out', folder]);
  const file = join(folder, 'bench-emulator.json');
  const { all, notes } = JSON.parse(readFileSync(file, 'utf8')) as { all: Figure[]; notes: string[] };
  for (const row of rowNames) {
    const figures = all.filter((figure) => figure.row === row);
    const isExplained = notes.some((note) => note.startsWith(`${row}: `));
    assert.ok(figures.length > 0 || isExplained, `${row} is missing in\n${stdout}`);
    assert.match(stdout, new RegExp(`^### ${row}: `, 'm'));
    for (const { name, values } of figures) {
      assert.ok(values.ours?.every(Number.isFinite), `${name}: ${JSON.stringify(values)}`);
      assert.ok(stdout.includes(`| ${name}`), `${name} is missing in\n${stdout}`);
    }
  }
  const kept = all.find(({ row }) => row === 'restart');
  assert.deepEqual(kept?.values.ours, [kept?.target], 'what was confirmed is there after a kill -9');
});

test('ends with an error when a run fails, and says what it wants when its flags are wrong', async () => {
  const failed = run(process.execPath, [main, '--quick', '--only=batches', '--also=gone=127.0.0.1:1']);
  await assert.rejects(failed, ({ code, stderr }) => code === 1 && /127\.0\.0\.1:1/.test(stderr));
  const misused = run(process.execPath, [main, '--only=nothing']);
  await assert.rejects(
    misused,
    ({ code, stderr }) => code === 2 && /--only: wants official, batches/.test(stderr),
  );
});
