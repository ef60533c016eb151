/** The measurements within limits: their percentiles, their load, and what they refuse. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { envelopeWritesMax } from '@assessment/api/envelope';
import { whyNoCgroup } from '../../emulator/bench/cgroup.ts';
import { needs } from '../../test/programs.ts';
import { until } from '../../test/until.ts';
import { createLatencies } from '../limits/latencies.ts';
import { runLoad } from '../limits/load.ts';
import { formatSoak, formatSoakRow } from '../limits/report.ts';
import { formRow } from '../limits/soak.ts';

const main = join(import.meta.dirname, '../limits/main.ts');

/** Of nothing. */
const none = { p50: Number.NaN, p99: Number.NaN, max: Number.NaN };

test('percentiles are at most 1 % too high, and never above the most', () => {
  const latencies = createLatencies();
  for (let ms = 1; ms <= 1_000; ms++) latencies.add(ms);
  const { p50, p99, max } = latencies.summary();
  assert.ok(p50 >= 500 && p50 <= 505, String(p50));
  assert.ok(p99 >= 990 && p99 <= 1_000, String(p99));
  assert.equal(max, 1_000);
  assert.deepEqual(createLatencies().summary(), none);
});

describe('the load', () => {
  /** Confirms every other request, and refuses the others; every fourth refusal closes its connection. */
  async function startServer() {
    let [asked, confirmed, refused] = [0, 0, 0];
    const server = createServer((request, response) => {
      response.sendDate = false;
      if (request.url === '/healthz') response.setHeader('Content-Length', 2).end('{}');
      else if (asked++ % 2 === 0) {
        confirmed++;
        response.setHeader('Content-Length', 2).end('{}');
      } else {
        response.statusCode = 503;
        if (refused++ % 4 === 0) response.setHeader('Connection', 'close');
        response.setHeader('Retry-After', 1).setHeader('Content-Length', 2).end('{}');
      }
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    return { url, counts: () => ({ accepted: confirmed, refused }), close: () => server.close() };
  }

  test('is given up when its connections cannot all be opened', async (context) => {
    const server = createServer((_request, response) => {
      response.setHeader('Content-Length', 2).end('{}');
    }).listen(0, '127.0.0.1');
    context.after(() => server.close());
    server.maxConnections = 2;
    await once(server, 'listening');
    const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const options = { connections: 3, seconds: 1, pace: 'patient', openSeconds: 1 } as const;
    await assert.rejects(runLoad(`http://${host}/`, options, []), {
      name: 'NotJudged',
      message: `Only 2 of 3 connections to ${host} were answered within 1 s.`,
    });
  });

  test('has no latency of what was never answered', async () => {
    const server = await startServer();
    const { refusedMs } = await runLoad(server.url, { connections: 1, seconds: 1, pace: 1 }, []);
    assert.deepEqual(refusedMs, none);
    server.close();
  });

  test('ends with the error of who listens to it', async (context) => {
    const server = await startServer();
    context.after(server.close);
    const options = {
      ...{ connections: 1, seconds: 2, pace: 1 },
      onSecond() {
        throw new Error('a part is gone');
      },
    };
    await assert.rejects(runLoad(server.url, options, []), { message: 'a part is gone' });
  });

  for (const pace of ['patient', 'impatient', 200] as const) {
    test(`counts what the server answered, ${typeof pace === 'number' ? 'at a rate' : pace}`, async () => {
      const server = await startServer();
      const whole = await runLoad(server.url, { connections: 20, seconds: 1, pace }, []);
      const { accepted, refused, refusedBare, failed } = whole;
      assert.deepEqual({ accepted, refused }, server.counts());
      assert.ok(accepted > 0 && refused > 0);
      assert.deepEqual([refusedBare, failed], [0, 0]);
      if (pace === 'patient') assert.ok(accepted + refused < 200, `${accepted + refused} in a second`);
      if (typeof pace === 'number') assert.equal(accepted + refused + whole.unsent, pace);
      server.close();
    });
  }

  test('has every id that it kept, of a run of any length', async (context) => {
    const writes = Array.from({ length: 20_000 }, () => 'f'.repeat(24));
    const body = JSON.stringify({ writes });
    const server = createServer((_request, response) => {
      response.sendDate = false;
      response.setHeader('Content-Length', body.length).end(body);
    }).listen(0, '127.0.0.1');
    context.after(() => server.close());
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const { accepted, ids } = await runLoad(url, { connections: 1, seconds: 1, pace: 'impatient' }, []);
    assert.ok(accepted >= 100, `${accepted} are too few to keep one of`);
    assert.equal(ids?.length, Math.floor(accepted / 100) * writes.length);
  });
});

const ofEach = (value: number) => ({ api: value, writer: value, emulator: value, mongodb: value });
const counts = { accepted: 0, refused: 0, refusedBare: 0, failed: 0, unsent: 0 };
const quiet = { ...counts, acceptedMs: none, refusedMs: none };

test('the latency of a minute is that of its seconds in which something was accepted', () => {
  const busy = { ...quiet, accepted: 100, acceptedMs: { p50: 20, p99: 40, max: 50 } };
  const memoryBytes = ofEach(64 * 1024 ** 2);
  const row = formRow(3, [quiet, quiet, quiet, busy], memoryBytes, ofEach(7));
  assert.deepEqual(row, {
    minute: 3,
    acceptedPerSecond: 25,
    p50Ms: 20,
    p99Ms: 40,
    memoryBytes,
    handles: ofEach(7),
  });
  const line =
    'minute 3: 25 accepted/s, p50 20 ms, p99 40 ms; MiB: api 64, writer 64, emulator 64, mongodb 64';
  assert.equal(formatSoakRow(row), line);
});

test('passes when as many writes were inserted as were confirmed, or as failed calls account for, and no id is missing', () => {
  const figures = {
    ...{ perSecond: 1, capacityPerSecond: 1, rows: [], accepted: 1, refused: 0, failed: 0, unsent: 0 },
    ...{ confirmedWrites: 5_000, insertedWrites: 5_000, publishFailures: 0 },
    ...{ idsFound: 50, idsMissing: 0, oomKillCount: 0 },
  };
  const isWhole = (change: Partial<typeof figures>) => formatSoak({ ...figures, ...change }).isWhole;
  assert.equal(isWhole({}), true);
  assert.equal(isWhole({ insertedWrites: 4_999 }), false);
  assert.equal(isWhole({ insertedWrites: 5_001 }), false);
  assert.equal(isWhole({ publishFailures: 2, insertedWrites: 5_000 + 2 * envelopeWritesMax }), true);
  assert.equal(isWhole({ publishFailures: 2, insertedWrites: 5_001 + 2 * envelopeWritesMax }), false);
  assert.equal(isWhole({ publishFailures: 2, insertedWrites: 4_999 }), false);
  assert.equal(isWhole({ idsMissing: 1 }), false);
  assert.equal(isWhole({ oomKillCount: 1 }), false);
});

/** Takes memory in the cgroup of a part until the kernel ends the part, and then what takes it. */
function starve(folder: string): void {
  const processes = join(folder, 'cgroup.procs');
  // Of all in the group it is the first to be ended.
  writeFileSync(`/proc/${readFileSync(processes, 'utf8').trim()}/oom_score_adj`, '1000');
  // tail keeps all of a line, and this one has no end.
  spawn('sh', ['-c', `echo $$ > ${processes} && exec tail /dev/zero`]);
}

for (const [mode, part] of [
  ['overload', 'writer'],
  ['backlog', 'emulator'],
  ['soak', 'api'],
] as const) {
  test(`${mode} is broken off and exits 1 when the kernel ends the ${part} for want of memory`, {
    skip: whyNoCgroup() ?? needs('mongodb').skip,
  }, async (context) => {
    const child = spawn(process.execPath, [main, mode, '--json'], { stdio: ['ignore', 'pipe', 'inherit'] });
    context.after(() => child.kill());
    const closed = Promise.all([text(child.stdout), once(child, 'close')]);
    const folderOf = (name: string) => `/sys/fs/cgroup/memory/limits-${name}-${child.pid}`;
    const load = join(folderOf('load'), 'cgroup.procs');
    await until(() => existsSync(load) && readFileSync(load, 'utf8') !== '');
    starve(folderOf(part));
    const [stdout, exit] = await closed;
    const { ended, oomKillCount } = JSON.parse(stdout);
    assert.equal(ended, part);
    assert.ok(oomKillCount >= 1, stdout);
    assert.deepEqual(exit, [1, null]);
    assert.equal(existsSync(folderOf(part)), false);
  });
}

test('bad usage is named', () => {
  const run = (...args: string[]) => spawnSync(process.execPath, [main, ...args], { encoding: 'utf8' });
  for (const [args, message] of [
    [[], /wants overload, backlog, slow-bodies or soak/],
    [['toString'], /wants overload, backlog, slow-bodies or soak/],
    [['overload', 'soak'], /one of overload, backlog, slow-bodies, soak/],
    [['soak', '--duration', '0s'], /^--duration: wants a time from 1s to 24h/],
    [['overload', '--duration', '11m'], /^--duration: wants a time from 1s to 10m/],
    [['backlog', '--documents', 'many'], /--documents: wants a whole number/],
    [['overload', '--documents', '5000'], /^--documents: not with overload/],
    [['backlog', '--duration', '5m'], /^--duration: not with backlog/],
    [['slow-bodies', '--clients', '9'], /--clients: wants a whole number/],
    [['slow-bodies', '--duration', '5m'], /^--duration: not with slow-bodies/],
    [['soak', '--clients', '100'], /^--clients: not with soak/],
    [['overload', '--fast'], /--fast/],
  ] as const) {
    const { status, stderr } = run(...args);
    assert.equal(status, 2);
    assert.match(stderr, message);
  }
});
