import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { needs } from './programs.ts';
import { request } from './requests.ts';
import { type System, startSystem } from './system.ts';
import { until } from './until.ts';

/** A process that shares its core with others answers later than its time limit by so much at most. */
const lateMsMax = 2_500;

const audit = join(import.meta.dirname, '../stress-test/audit.ts');

interface Route {
  url: string;
  init?: RequestInit;
  /** The longest wait for MongoDB, as README.md states it. */
  waitMsMax: number;
  status: number;
}

describe('with MongoDB paused', needs('mongodb'), () => {
  let system: System;
  let routes: Route[];

  before(async () => {
    system = await startSystem({ DRAIN_TIMEOUT_MS: '5000' });
    const { api, writer } = system;
    const { body } = await request(`${api.url}/api/data`);
    const record = { method: 'POST', body: '{"a":1}', headers: { 'content-type': 'application/json' } };
    routes = [
      { url: `${api.url}/api/data`, waitMsMax: 0, status: 200 },
      { url: `${api.url}/api/records`, init: record, waitMsMax: 0, status: 202 },
      { url: `${api.url}/api/records/${body.writes[0]}`, waitMsMax: 2_000, status: 503 },
      { url: `${api.url}/api/stats`, waitMsMax: 0, status: 200 },
      { url: `${api.url}/dashboard/events`, waitMsMax: 1_000, status: 200 },
      ...[api, writer].flatMap(({ url }) => [
        { url: `${url}/healthz`, waitMsMax: 0, status: 200 },
        { url: `${url}/servez`, waitMsMax: 0, status: 200 },
        { url: `${url}/readyz`, waitMsMax: 1_000, status: 503 },
        { url: `${url}/metrics`, waitMsMax: 0, status: 200 },
      ]),
    ];
    await allAnswer();
  });
  after(() => system.stop());

  /** The status, when the first part of the body is there: events never end. */
  async function ask({ url, init = {} }: Route): Promise<number> {
    const ending = new AbortController();
    const response = await fetch(url, { ...init, signal: ending.signal });
    for await (const _chunk of response.body ?? []) break;
    ending.abort();
    return response.status;
  }

  async function allAnswer(): Promise<void> {
    for (const route of routes) {
      await until(
        () => ask(route),
        (status) => status < 300,
      );
    }
  }

  async function allAnswerInTime(): Promise<void> {
    for (const route of routes) {
      const asked = performance.now();
      assert.equal(await ask(route), route.status, route.url);
      const tookMs = performance.now() - asked;
      assert.ok(tookMs < route.waitMsMax + lateMsMax, `${route.url} took ${Math.round(tookMs)} ms`);
    }
  }

  test('every route answers within its stated time, and as before when MongoDB goes on', async () => {
    system.mongoDb.pause();
    // At first with the connections that there were; in the end the driver has closed them.
    for (let round = 0; round < 3; round++) await allAnswerInTime();
    system.mongoDb.resume();
    await allAnswer();
  });

  test('the audit says that MongoDB does not answer', async (context) => {
    system.mongoDb.pause();
    context.after(() => system.mongoDb.resume());
    const env = { ...process.env, MONGODB_URI: system.mongoDb.uri };
    const asked = performance.now();
    await assert.rejects(
      promisify(execFile)(process.execPath, [audit, '--base-url', system.api.url, '--duration', '1s'], {
        env,
      }),
      /MongoDB does not answer/,
    );
    // The ping has 5 s, closing the client 1 s, and starting a process takes some.
    assert.ok(performance.now() - asked < 6_000 + lateMsMax);
  });

  test('api and writer drain, and exit 0', async (context) => {
    system.mongoDb.pause();
    context.after(() => system.mongoDb.resume());
    await Promise.all([system.api.stop(), system.writer.stop()]);
    assert.equal(await system.api.exited(), 0, system.api.output());
    assert.equal(await system.writer.exited(), 0, system.writer.output());
  });
});
