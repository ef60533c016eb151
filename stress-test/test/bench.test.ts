/** The bench runs through: every row is measured, or says why not. No figure is judged, since the machine is busy. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { signalGroup, startOf } from '../../local/processes.ts';
import { createFolder, pressCtrlC } from '../../test/process.ts';
import { needs } from '../../test/programs.ts';
import { until } from '../../test/until.ts';
import type { Figure } from '../bench/figures.ts';
import { besideRows } from '../bench/options.ts';
import { rowNames } from '../bench/titles.ts';

const run = promisify(execFile);
const main = join(import.meta.dirname, '../bench/main.ts');
const checkout = join(import.meta.dirname, '../..');

for (const row of rowNames) {
  test(`npm run bench measures ${row} and writes table, JSON and plot`, needs('mongodb', 'wrk'), async () => {
    const folder = createFolder();
    const flags = besideRows.includes(row) ? ['--beside', checkout] : [];
    const args = [main, '--quick', '--only', row, '--out', folder, ...flags];
    const { stdout, stderr } = await run(process.execPath, args);
    assert.equal(stderr, '', 'no progress where nobody looks');
    const json = JSON.parse(readFileSync(join(folder, 'bench.json'), 'utf8'));
    const { all: figures, notes } = json as { all: Figure[]; notes: string[] };
    const plot = readFileSync(join(folder, 'bench.svg'), 'utf8');
    assert.match(plot, /^<svg [\s\S]*<\/svg>\n$/);
    assert.match(stdout, new RegExp(`^### ${row}: `, 'm'));
    const isExplained = notes.some((note) => note.startsWith(`${row}: `));
    assert.ok(figures.length > 0 || isExplained, stdout);
    if (besideRows.includes(row)) {
      assert.match(stdout, /^“beside” is commit [0-9a-f]{7,}/m);
      assert.ok(figures.some(({ name, values }) => name === 'requests' && values.beside?.length === 1));
    }
    for (const { name, values, target } of figures) {
      const all = Object.values(values).flat();
      assert.ok(all.every(Number.isFinite), `${name}: ${JSON.stringify(values)}`);
      assert.ok(stdout.includes(`| ${name}`), `${name} is missing in\n${stdout}`);
      // What must be 0, as what failed, is compared with nothing.
      const isAlone = figures.every(({ target }) => !target);
      if (target !== undefined || isAlone) assert.ok(plot.includes(`>${name}`), `${name} is not plotted`);
      const failed = name.replace(/requests$/, 'failed');
      assert.ok(
        figures.some((figure) => figure.name === failed),
        `${name}, and not how many failed`,
      );
      if (/failed|missing|too many/.test(name)) assert.deepEqual([...new Set(all)], [0], name);
    }
  });
}

for (const [load, row] of [
  ['wrk', 'steady'],
  ['k6', 'assessment'],
] as const) {
  test(`Ctrl-C ends the bench and its ${load}`, needs('mongodb', 'wrk', load), async (context) => {
    const child = spawn(process.execPath, [main, '--quick', '--only', row, '--out', createFolder()], {
      stdio: 'ignore',
      detached: true,
    });
    const bench = child.pid as number;
    context.after(() => signalGroup(bench, 'SIGKILL'));
    const exited = once(child, 'exit');
    const pid = await until(() => childrenOf(bench).find((other) => nameOf(other) === load));
    // So that it would not end by itself.
    process.kill(pid as number, 'SIGSTOP');
    await pressCtrlC(bench);
    assert.deepEqual(await exited, [130, null]);
    await until(() => startOf(pid as number) === undefined);
  });
}

function childrenOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1');
  return children.split(' ').filter(Boolean).map(Number);
}

/** The empty string for one that has ended meanwhile. */
function nameOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'latin1').trim();
  } catch {
    return '';
  }
}

test('npm run bench says what it wants when its flags are wrong', async () => {
  for (const [flags, message] of [
    [['--only', 'nothing'], /^--only: there is no "nothing", wants of steady/],
    [['--rounds', '0'], /^--rounds: wants a whole number from 1 to 100/],
    [['--out', ''], /^--out: wants a folder/],
    [['--beside', createFolder()], /^--beside: must be a checkout of this project in which npm ci has run/],
  ] as const) {
    await assert.rejects(
      run(process.execPath, [main, ...flags]),
      ({ code, stderr }) => code === 2 && message.test(stderr) && /--help/.test(stderr),
    );
  }
});
