import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BadUsage } from '../../../command-line/flags.ts';
import { checkNames, help, readOptions } from './options.ts';

const env = { IMAGE_LOAD_COMMAND: 'load-into cluster' };
const given = ['--context', 'some'];

function read(args: string[], environment: NodeJS.ProcessEnv = env) {
  const options = readOptions(args, environment);
  assert.ok(options !== 'help');
  return options;
}

test('all checks are run by default, from setup.sh to cleanup.sh', () => {
  const wanted = { context: 'some', checks: [...checkNames], isStandIns: false, connections: 20 };
  assert.deepEqual(read(given), wanted);
  assert.deepEqual(read([], { ...env, KUBE_CONTEXT: 'some' }), wanted);
});

test('a system that is there already is neither set up nor taken away', () => {
  const between = checkNames.filter((name) => name !== 'setup' && name !== 'cleanup');
  assert.deepEqual(read([...given, '--as-is']).checks, between);
  assert.deepEqual(read([...given, '--keep']).checks, ['setup', ...between]);
});

test('single checks are run in their order', () => {
  assert.deepEqual(read([...given, '--only', 'refill,k6', '--only=setup']).checks, ['setup', 'k6', 'refill']);
});

test('connections are taken at both ends of their range, and not beyond', () => {
  for (const count of [1, 1_000]) {
    assert.equal(read([...given, `--connections=${count}`]).connections, count);
  }
  for (const text of ['0', '1001', 'many', '']) {
    assert.throws(() => read([...given, `--connections=${text}`]), /^BadUsage: --connections: wants/);
  }
});

test('what is missing or unknown is named', () => {
  for (const [args, environment, message] of [
    [[], env, /--context: wants/],
    [given, {}, /IMAGE_LOAD_COMMAND: wants/],
    [[...given, '--only=all'], env, /--only: wants setup, endpoints/],
    [[...given, '--contxt'], env, /--contxt/],
  ] as const) {
    assert.throws(() => read([...args], environment), BadUsage);
    assert.throws(() => read([...args], environment), message);
  }
});

test('the help names every check', () => {
  assert.equal(readOptions(['--help'], {}), 'help');
  for (const name of checkNames) assert.ok(help.includes(name), name);
});
