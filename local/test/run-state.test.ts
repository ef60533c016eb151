import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createFolder, startProcess } from '../../test/process.ts';
import { openRunState, readRun } from '../run-state.ts';
import { StartError } from '../start-error.ts';

const source = join(import.meta.dirname, '..', 'run-state.ts');

/** Another process that has opened the folder and recorded itself as a child, and stays. */
function openElsewhere(folder: string) {
  const script = `const { openRunState } = await import(${JSON.stringify(source)});
    openRunState(${JSON.stringify(folder)}).add('API', process.pid);
    setInterval(() => {}, 1000);
    console.log('open');`;
  return startProcess({
    command: process.execPath,
    args: ['--input-type=module', '-e', script],
    ready: /open/,
  });
}

test('records children and forgets them', () => {
  const folder = join(createFolder(), 'not', 'there', 'yet');
  const state = openRunState(folder);
  assert.equal(state.earlier, undefined);
  state.add('API', process.pid);
  const recorded = readRun(folder);
  assert.deepEqual(recorded?.children, [{ ...state.parent, name: 'API' }]);
  state.remove(process.pid);
  assert.deepEqual(readRun(folder)?.children, []);
  state.close();
  assert.equal(existsSync(join(folder, 'run.json')), false);
});

test('refuses a folder that another one uses, and leaves it alone', async () => {
  const folder = createFolder();
  await using other = await openElsewhere(folder);
  const before = readRun(folder);
  assert.throws(
    () => openRunState(folder),
    (error) => error instanceof StartError && error.message.includes(`(process ${other.pid()})`),
  );
  assert.deepEqual(readRun(folder), before);
});

test('hands over what one that was killed had recorded', async () => {
  const folder = createFolder();
  const other = await openElsewhere(folder);
  await other.kill();
  const state = openRunState(folder);
  assert.equal(state.earlier?.parent.pid, other.pid());
  assert.deepEqual(
    state.earlier?.children.map(({ name, pid }) => ({ name, pid })),
    [{ name: 'API', pid: other.pid() }],
  );
  // Until they are dealt with they stay recorded, for the next one.
  assert.equal(readRun(folder)?.children.length, 1);
  state.close();
});

test('starts over a record that cannot be read', () => {
  const folder = createFolder();
  writeFileSync(join(folder, 'run.json'), '{"parent":');
  const state = openRunState(folder);
  assert.equal(state.earlier, undefined);
  state.close();
});

test('names DATA_DIR when it cannot be written', () => {
  const file = join(createFolder(), 'file');
  writeFileSync(file, '');
  assert.throws(
    () => openRunState(join(file, 'data')),
    (error) => error instanceof StartError && error.message.startsWith('DATA_DIR: '),
  );
});
