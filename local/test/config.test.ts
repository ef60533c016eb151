import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readConfig } from '../config.ts';

const cases: [string, NodeJS.ProcessEnv, number][] = [
  ['at its default on loopback', {}, 20_000],
  ['at its default on another address of loopback', { HOST: '127.0.0.2' }, 20_000],
  ['none on every address', { HOST: '0.0.0.0' }, 0],
  ['none on an address of the network', { HOST: '192.168.0.127' }, 0],
  ['none where 0 is asked for', { BURST_REQUESTS_MAX: '0' }, 0],
  ['as large as asked for, on every address too', { HOST: '0.0.0.0', BURST_REQUESTS_MAX: '5' }, 5],
];
for (const [what, env, max] of cases) {
  test(`the dashboard's burst is ${what}`, (context) => {
    const before = process.env;
    context.after(() => {
      process.env = before;
    });
    process.env = env;
    assert.equal(readConfig().BURST_REQUESTS_MAX, max);
  });
}
