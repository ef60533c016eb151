import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { readOptions } from '../audit-options.ts';

const read = (...args: string[]) => readOptions(args, {});

describe('the command line of the audit', () => {
  test('drives a load of its own by default', () => {
    assert.deepEqual(read(), {
      source: {
        kind: 'load',
        baseUrl: 'http://assessment.local',
        token: undefined,
        connections: 100,
        durationMs: 30_000,
        folder: join(import.meta.dirname, '../out'),
        isKeyed: false,
      },
      settleMs: 120_000,
      quietMs: 30_000,
      isJson: false,
    });
  });

  test('takes BASE_URL from the environment, and the option before it', () => {
    const env = { BASE_URL: 'http://127.0.0.1:3000/', API_TOKEN: 'a token' };
    const ofEnvironment = readOptions([], env);
    const ofOption = readOptions(['--base-url', 'https://example.test/api-root/'], env);
    assert.ok(ofEnvironment !== 'help' && ofEnvironment.source.kind === 'load');
    assert.ok(ofOption !== 'help' && ofOption.source.kind === 'load');
    assert.equal(ofEnvironment.source.baseUrl, 'http://127.0.0.1:3000');
    assert.equal(ofEnvironment.source.token, 'a token');
    assert.equal(ofOption.source.baseUrl, 'https://example.test/api-root');
  });

  test("audits k6's files when they are named", () => {
    const options = read(
      ...['--summary', 's.json', '--ids', 'i.txt'],
      ...['--settle', '5', '--quiet-period', '1m', '--json'],
      ...['--documents-before', '15'],
    );
    assert.deepEqual(options, {
      source: { kind: 'k6', summary: 's.json', ids: 'i.txt', documentsBefore: 15 },
      settleMs: 5_000,
      quietMs: 60_000,
      isJson: true,
    });
  });

  test('repeats requests with their keys when --keys says so', () => {
    const options = read('--keys');
    assert.ok(options !== 'help' && options.source.kind === 'load');
    assert.equal(options.source.isKeyed, true);
  });

  test('asks for help', () => {
    assert.equal(read('--help'), 'help');
    assert.equal(read('-h'), 'help');
  });

  test('takes connections and times at their limits', () => {
    for (const args of [
      ['--connections', '1'],
      ['--connections', '20000'],
      ['--duration', '1s'],
      ['--duration', '24h'],
    ]) {
      assert.doesNotThrow(() => read(...args), args.join(' '));
    }
  });

  const bad: [args: string[], message: RegExp][] = [
    [['--connections', '0'], /^--connections: wants/],
    [['--connections', '20001'], /^--connections: wants/],
    [['--connections', '1.5'], /^--connections: wants/],
    [['--connections', '-1'], /--connections/],
    [['--duration', '0s'], /^--duration: wants/],
    [['--duration', '25h'], /^--duration: wants/],
    [['--duration', '10ms'], /^--duration: wants/],
    [['--duration', ''], /^--duration: wants/],
    [['--settle', 'soon'], /^--settle: wants/],
    [['--quiet-period', '-1s'], /--quiet-period/],
    [['--base-url', 'localhost:3000'], /^--base-url: wants/],
    [['--base-url', 'ftp://127.0.0.1'], /^--base-url: wants/],
    [['--base-url', 'http://127.0.0.1/?a=1'], /^--base-url: wants/],
    [['--out', ''], /^--out: wants/],
    [['--summary', 's.json'], /^--ids: wants a file/],
    [['--ids', 'i.txt'], /^--summary: wants a file/],
    [['--summary', '', '--ids', 'i.txt'], /^--summary: wants a file/],
    [['--summary', 's.json', '--ids', 'i.txt', '--duration', '5s'], /^--duration: not with/],
    [['--summary', 's.json', '--ids', 'i.txt', '--keys'], /^--keys: not with/],
    [['--summary', 's.json', '--ids', 'i.txt', '--documents-before', '-1'], /--documents-before/],
    [['--documents-before', '5'], /^--documents-before: must be used with/],
    [['--what'], /--what/],
    [['what'], /what/],
  ];
  for (const [args, message] of bad) {
    test(`refuses ${args.join(' ')}`, () => {
      assert.throws(() => read(...args), { name: 'BadUsage', message });
    });
  }
});
