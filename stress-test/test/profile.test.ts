/** The profile runs through, and its arithmetic. No figure is judged, since the machine is busy. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { createFolder } from '../../test/process.ts';
import { needs } from '../../test/programs.ts';
import { cut, parseProfile, shareByFunction, shareByPackage } from '../profile/cpu-profile.ts';

const run = promisify(execFile);
const main = join(import.meta.dirname, '../profile/main.ts');

const frame = (functionName: string, url = '', lineNumber = -1) => ({ functionName, url, lineNumber });
const made = parseProfile(
  JSON.stringify({
    startTime: 1_000,
    endTime: 1_600,
    nodes: [
      { id: 1, callFrame: frame('(idle)') },
      { id: 2, callFrame: frame('publish', 'file:///x/api/src/publisher.ts', 9) },
      { id: 3, callFrame: frame('', 'file:///x/node_modules/@grpc/grpc-js/build/src/client.js', 4) },
      { id: 4, callFrame: frame('emit', 'node:events', 0) },
    ],
    samples: [2, 1, 3, 2, 4],
    timeDeltas: [100, 100, 50, 150, 200],
  }),
);

test('a profile is cut to the load and loses its idle time', () => {
  const result = cut(made, 1_150, 1_400);
  assert.deepEqual([result.samples, result.timeDeltas, result.endTime], [[3, 2], [50, 150], 200]);
});

test('time is added up by package and by function, the most first', () => {
  assert.deepEqual(
    [...shareByPackage(cut(made, 0, 2_000))],
    [
      ['api', 250],
      ['Node', 200],
      ['@grpc/grpc-js', 50],
    ],
  );
  const [first, , third] = [...shareByFunction(cut(made, 0, 2_000)).keys()];
  assert.equal(first, 'api: publish (publisher.ts:10)');
  assert.equal(third, '@grpc/grpc-js: (anonymous) (client.js:5)');
});

test('npm run profile prints where the time goes and leaves profiles', needs('mongodb', 'wrk'), async () => {
  const folder = createFolder();
  const { stdout } = await run(process.execPath, [
    main,
    '--duration',
    '2s',
    '--connections',
    '20',
    '--out',
    folder,
  ]);
  for (const part of ['api', 'writer', 'broker']) {
    assert.match(stdout, new RegExp(`^### ${part}: \\d`, 'm'));
    const profile = parseProfile(readFileSync(join(folder, `${part}.cpuprofile`), 'utf8'));
    assert.ok(profile.samples.length > 0);
    assert.equal(profile.samples.length, profile.timeDeltas.length);
  }
  assert.match(stdout, /api: .*\(data\.ts:\d+\)/);
});

test('npm run profile says what it wants when its flags are wrong', async () => {
  const misused = run(process.execPath, [main, '--connections', '0']);
  await assert.rejects(
    misused,
    ({ code, stderr }) => code === 2 && /^--connections: wants a whole number/.test(stderr),
  );
});
