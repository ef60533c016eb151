import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { readOptions } from '../options.ts';

const read = (...args: string[]) => readOptions(args);

describe('the command line of dead-letters', () => {
  test('takes every command', () => {
    const common = { waitMs: undefined, isJson: false };
    assert.deepEqual(read('list'), { command: { name: 'list', limit: 1000 }, ...common });
    assert.deepEqual(read('list', '--limit', '100000', '--wait', '1s', '--json'), {
      command: { name: 'list', limit: 100_000 },
      waitMs: 1_000,
      isJson: true,
    });
    assert.deepEqual(read('show', '7'), { command: { name: 'show', id: '7' }, ...common });
    assert.deepEqual(read('replay', '7', '8', '7'), {
      command: { name: 'replay', ids: new Set(['7', '8']) },
      ...common,
    });
    assert.deepEqual(read('drop', '--all', '--yes'), {
      command: { name: 'drop', ids: undefined },
      ...common,
    });
  });

  test('asks for help', () => {
    assert.equal(read('--help'), 'help');
    assert.equal(read('drop', '-h'), 'help');
  });

  const bad: [args: string[], message: RegExp][] = [
    [[], /^no command; wants list/],
    [['forget'], /^forget: no such command/],
    [['list', '7'], /^list: takes no id, got 7/],
    [['list', '--limit', '0'], /^--limit: wants/],
    [['list', '--limit', '100001'], /^--limit: wants/],
    [['list', '--wait', '11m'], /^--wait: wants/],
    [['list', '--wait', '0s'], /^--wait: wants/],
    [['list', '--all'], /^--all: is for replay and drop/],
    [['show'], /^show: wants the id/],
    [['show', '7', '8'], /^show: wants the id/],
    [['replay'], /^replay: wants ids, or --all/],
    [['replay', '7', '--all'], /^replay: wants ids, or --all/],
    [['replay', '--all', '--yes'], /^--yes: is for drop/],
    [['drop', '--all'], /^drop --all: wants --yes/],
    [['drop', '7', '--limit', '1'], /^--limit: is for list/],
    [['list', '--what'], /--what/],
  ];
  for (const [args, message] of bad) {
    test(`refuses ${args.join(' ') || 'nothing at all'}`, () => {
      assert.throws(() => read(...args), { name: 'BadUsage', message });
    });
  }
});
