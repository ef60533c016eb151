/**
 * Loads with keys over connections that break again and again, each time after the api has carried requests out and before
 * their answers arrive. Every request is repeated until it is confirmed, and is stored once.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { MongoClient } from 'mongodb';
import { createFolder, pressCtrlC, type RunningProcess, startProcess } from '../../test/process.ts';
import { needs } from '../../test/programs.ts';
import { request } from '../../test/requests.ts';
import { type System, startSystem } from '../../test/system.ts';
import { until } from '../../test/until.ts';
import { createLink, type Link } from '../chaos/link.ts';
import { readAnsweredCount } from '../metric.ts';

const cutCount = 5;

describe('a load with keys over connections that break', needs('mongodb', 'k6'), () => {
  let system: System;
  let link: Link;
  let mongo: MongoClient;
  before(async () => {
    system = await startSystem();
    await until(
      () => request(`${system.api.url}/readyz`),
      ({ status }) => status === 200,
    );
    link = await createLink(Number(new URL(system.api.url).port));
    mongo = new MongoClient(system.mongoDb.uri);
  });
  after(async () => {
    await mongo.close();
    await link.close();
    await system.stop();
  });

  const answeredCount = () => readAnsweredCount(system.api.url);
  const storedCount = () => mongo.db().collection('records').countDocuments();

  function start(program: string, args: string[], ready: RegExp): Promise<RunningProcess> {
    const baseUrl = `http://127.0.0.1:${link.port}`;
    const common = ['--keys', '--base-url', baseUrl, '--quiet-period', '2s', '--out', createFolder()];
    return startProcess({
      command: process.execPath,
      args: [join(import.meta.dirname, '..', program), ...common, ...args],
      env: { MONGODB_URI: system.mongoDb.uri },
      ready,
    });
  }

  /** Until the load has ended by itself, or so often. */
  async function cutAgainAndAgain(load: RunningProcess): Promise<void> {
    const isOver = () => load.output().includes('waiting until what was confirmed is stored');
    async function answerMore(): Promise<void> {
      const count = await answeredCount();
      await until(async () => isOver() || (await answeredCount()) > count);
    }
    for (let cuts = 0; cuts < cutCount; cuts++) {
      await answerMore();
      link.mute();
      await answerMore();
      link.cut();
      link.open();
    }
  }

  /** What the audit says has to be true of all that is there, and of what the api has answered. */
  async function assertExact(output: string, was: { stored: number; answered: number }): Promise<void> {
    const figure = (pattern: RegExp) => Number(pattern.exec(output)?.[1]?.replaceAll(',', ''));
    const keys = figure(/^PASS: .* 5 documents for each of ([\d,]+) keys/m);
    assert.ok(keys > 0, output);
    assert.equal(figure(/^ +before +([\d,]+)$/m), was.stored, output);
    assert.equal((await storedCount()) - was.stored, 5 * keys, output);
    const answered = (await answeredCount()) - was.answered;
    // By the api's count: Go's HTTP client, and so k6, repeats a request with a key by itself when its connection breaks.
    assert.ok(answered > keys, 'no request was answered more than once');
  }

  test("of the audit's own is stored exactly once a key", async () => {
    const was = { stored: await storedCount(), answered: await answeredCount() };
    await using audit = await start('audit.ts', ['--connections', '5', '--duration', '5m'], /^load:/m);
    await cutAgainAndAgain(audit);
    await pressCtrlC(audit.pid());
    assert.equal(await audit.exited(), 0, audit.output());
    await assertExact(audit.output(), was);
  });

  test('of k6 is stored exactly once a key, beside what was there before', async () => {
    const was = { stored: await storedCount(), answered: await answeredCount() };
    assert.ok(was.stored > 0);
    await using stress = await start('stress.ts', ['--users', '5', '--duration', '10s'], /./);
    await cutAgainAndAgain(stress);
    await stress.exited();
    assert.match(stress.output(), /✓ audit: /);
    await assertExact(stress.output(), was);
  });
});
