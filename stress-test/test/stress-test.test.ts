/** stress-test.js in k6, against a server that answers as a real api only does in trouble. */
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { createFolder } from '../../test/process.ts';
import { findK6, needs } from '../../test/programs.ts';
import { readK6Run } from '../k6-run.ts';
import { unknownCount } from '../run.ts';

const script = join(import.meta.dirname, '../stress-test.js');
const timestamp = '2026-01-02T03:04:05.600Z';
const writes = Array.from({ length: 5 }, (_, index) => `6b0451a8c7f286bc170a8f6${index}`);
const success = JSON.stringify({ status: 'success', writes });

/** Runs k6 against `answer`, which is asked for /api/data; /readyz answers 200. */
async function runK6(answer: RequestListener, args: string[], readyStatus = 200) {
  const server = createServer((request, response) => {
    if (request.url !== '/readyz') return answer(request, response);
    response.statusCode = readyStatus;
    response.end(JSON.stringify({ status: 'ready', timestamp }));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const folder = createFolder();
  const [ids, summary] = [join(folder, 'ids.txt'), join(folder, 'summary.json')];
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { promise, resolve } = Promise.withResolvers<{ exitCode: unknown; output: string }>();
  const recording = ['--console-output', ids, '--log-format', 'raw', '--summary-export', summary];
  execFile(
    findK6() ?? 'k6',
    ['run', '--quiet', '--no-usage-report', '--address', '127.0.0.1:0', ...recording, ...args, script],
    { env: { ...process.env, BASE_URL: baseUrl } },
    (error, stdout, stderr) => resolve({ exitCode: error?.code ?? 0, output: stdout + stderr }),
  );
  const { exitCode, output } = await promise;
  server.closeAllConnections();
  server.close();
  return { exitCode, output, ids, summary };
}

/** The options that k6 reads from the script. */
function inspect(...args: string[]) {
  return JSON.parse(execFileSync(findK6() ?? 'k6', ['inspect', ...args, script], { encoding: 'utf8' }));
}

describe('stress-test.js', needs('k6'), () => {
  test("has the assessment's profile", () => {
    const { scenarios, thresholds } = inspect();
    assert.deepEqual(scenarios.users.stages, [
      { duration: '1m0s', target: 1_000 },
      { duration: '2m0s', target: 5_000 },
      { duration: '3m0s', target: 10_000 },
      { duration: '5m0s', target: 10_000 },
      { duration: '2m0s', target: 0 },
    ]);
    assert.equal(scenarios.users.executor, 'ramping-vus');
    assert.equal(scenarios.users.gracefulStop, '30s');
    assert.deepEqual(thresholds, {
      http_req_duration: ['p(95)<2000', 'p(99)<5000'],
      http_req_failed: ['rate<0.01'],
      error_rate: ['rate<0.01'],
    });
  });

  test('has a shorter one with as many users', () => {
    const { stages } = inspect('-e', 'PROFILE=short').scenarios.users;
    const short = stages.map(({ duration, target }: { duration: string; target: number }) => [
      duration,
      target,
    ]);
    assert.deepEqual(short, [
      ['6s', 1_000],
      ['12s', 5_000],
      ['18s', 10_000],
      ['30s', 10_000],
      ['12s', 0],
    ]);
  });

  test('does not start unless /readyz is 200', async () => {
    let asked = 0;
    const { exitCode, output } = await runK6(() => asked++, ['--vus', '1', '--duration', '1s'], 503);
    assert.match(output, /Not started: http:.*\/readyz has to answer 200, and the answer is: 503/);
    assert.notEqual(exitCode, 0);
    assert.equal(asked, 0);
  });

  test('shows the token of API_TOKEN with each request', async () => {
    const tokens = new Set<string | undefined>();
    const { exitCode } = await runK6(
      ({ headers }, response) => {
        tokens.add(headers.authorization);
        response.end(success);
      },
      ['--vus', '1', '--iterations', '2', '-e', 'API_TOKEN=a-token'],
    );
    assert.equal(exitCode, 0);
    assert.deepEqual([...tokens], ['Bearer a-token']);
  });

  test('passes its thresholds with --vus and --duration when every answer is good', async () => {
    const { exitCode, output } = await runK6(
      (_, response) => response.end(success),
      [...['--vus', '20', '--duration', '1s']],
    );
    assert.equal(exitCode, 0, output);
    for (const threshold of ['p(95)<2000', 'p(99)<5000'])
      assert.ok(output.includes(`✓ '${threshold}'`), output);
    assert.equal(output.split("✓ 'rate<0.01'").length - 1, 2, output);
    assert.match(output, /vus_max\.*: 20 /);
  });

  test('counts each answer by what it says about the writes, and each bad one once as an error', async () => {
    const answers: [status: number, body: string][] = [
      [200, success],
      [200, '{"status":"error"}'],
      [200, 'success'],
      [503, '{"status":"error","code":"overloaded"}'],
      [503, '{"status":"error","code":"publish_unconfirmed"}'],
      [503, '<html>'],
      [404, ''],
      [500, success],
    ];
    let asked = 0;
    const { exitCode, output, ids, summary } = await runK6(
      (_, response) => {
        const [status, body] = answers[asked++ % answers.length] ?? [];
        response.statusCode = status ?? 0;
        response.end(body);
      },
      ['--vus', '1', '--iterations', '16', '-e', 'RECORD=true', '-e', 'RECORD_EVERY=1', '-e', 'VERBOSE=true'],
    );
    assert.notEqual(exitCode, 0);
    assert.match(output, /error_rate\.*: 87\.50% 14 out of 16/);
    const run = await readK6Run({ ids, summary });
    assert.deepEqual(
      [run.sent, run.confirmed, run.refused, unknownCount(run), run.recorded],
      [16, 2, 4, 10, 2],
    );
    assert.equal(run.beganAt.toISOString(), timestamp);
    const lines = readFileSync(ids, 'utf8').split('\n');
    assert.equal(lines.filter((line) => line === `confirmed ${writes.join(' ')}`).length, 2);
    assert.equal(lines.filter((line) => line.startsWith('failed after ')).length, 14);
  });

  test('counts a failure to connect as refused, but not the one right after an answer', async () => {
    const { ids, summary } = await runK6(
      (request, response) => {
        response.end(success);
        // The server goes away: k6 finds the connection closed and cannot open another.
        response.once('close', () => {
          request.socket.destroy();
          (request.socket as { server?: { close(): void } }).server?.close();
        });
      },
      ['--vus', '1', '--iterations', '5', '-e', 'RECORD=true'],
    );
    const run = await readK6Run({ ids, summary });
    assert.deepEqual([run.sent, run.confirmed, run.refused, unknownCount(run)], [5, 1, 3, 1]);
  });

  test('with KEYS repeats a request with its key until it is confirmed, and the next has another', async () => {
    const others = JSON.stringify({ status: 'error', code: 'publish_unconfirmed', ids: writes.toReversed() });
    const answers: [status: number, body: string][] = [
      [503, '{"status":"error","code":"overloaded"}'],
      [503, others],
      [200, success],
      [200, success],
    ];
    const keys: unknown[] = [];
    const { output, ids, summary } = await runK6(
      ({ headers }, response) => {
        const [status, body] = answers[keys.length] ?? [];
        keys.push(headers['idempotency-key']);
        response.statusCode = status ?? 0;
        response.end(body);
      },
      ['--vus', '1', '--iterations', '2', '-e', 'RECORD=true', '-e', 'KEYS=true'],
    );
    assert.equal(keys.length, 4, output);
    assert.equal(new Set(keys.slice(0, 3)).size, 1);
    assert.equal(new Set(keys).size, 2);
    const run = await readK6Run({ ids, summary });
    assert.deepEqual([run.sent, run.confirmed, run.refused, run.recorded, run.lastSecond], [2, 2, 0, 2, 0]);
    assert.deepEqual(run.keyed, { repeats: 2, idsChanged: 1 });
  });

  test('without KEYS sends no key', async () => {
    const keys = new Set<unknown>();
    await runK6(
      ({ headers }, response) => {
        keys.add(headers['idempotency-key']);
        response.end(success);
      },
      ['--vus', '1', '--iterations', '2'],
    );
    assert.deepEqual([...keys], [undefined]);
  });

  test('refuses settings that are none', async () => {
    for (const setting of ['PROFILE=long', 'THINK_TIME=-1', 'RECORD_EVERY=0.5', 'RECORD_EVERY=51']) {
      const { exitCode, output } = await runK6((_, response) => response.end(success), ['-e', setting]);
      assert.match(output, new RegExp(`${setting.split('=')[0]}: wants `));
      assert.notEqual(exitCode, 0);
    }
  });
});
