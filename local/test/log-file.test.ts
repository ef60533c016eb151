import assert from 'node:assert/strict';
import { appendFileSync, existsSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createFolder } from '../../test/process.ts';
import { openLog, sizeOf, tailLog, trimLog } from '../log-file.ts';

test('keeps a log that is at its limit and cuts one that is over it', () => {
  const file = join(createFolder(), 'child.log');
  const log = openLog(file);
  writeSync(log.fd, '0123456789');
  trimLog(file, 10);
  assert.equal(sizeOf(file), 10);
  writeSync(log.fd, '!');
  trimLog(file, 10);
  assert.equal(sizeOf(file), 0);
  assert.equal(readFileSync(`${file}.1`, 'utf8'), '0123456789!');
  writeSync(log.fd, 'after');
  assert.equal(readFileSync(file, 'utf8'), 'after');
  log.close();
});

test('needs no log to be there', () => {
  const file = join(createFolder(), 'child.log');
  trimLog(file);
  assert.equal(existsSync(`${file}.1`), false);
  assert.deepEqual(tailLog(file), []);
});

test('shows the last lines since a start, and of JSON what it says', () => {
  const file = join(createFolder(), 'child.log');
  writeFileSync(file, 'of the start before\n');
  const fromByte = sizeOf(file);
  appendFileSync(file, 'one\ntwo\n\n{"level":50,"msg":"failed","err":{"message":"no disk"}}\n{"half":\n');
  assert.deepEqual(tailLog(file, { fromByte }), ['one', 'two', 'failed: no disk', '{"half":']);
  assert.deepEqual(tailLog(file, { fromByte, lines: 1 }), ['{"half":']);
});

test('shows the last lines of a log that was cut since the start', () => {
  const file = join(createFolder(), 'child.log');
  writeFileSync(file, 'new\n');
  assert.deepEqual(tailLog(file, { fromByte: 1_000 }), ['new']);
});
