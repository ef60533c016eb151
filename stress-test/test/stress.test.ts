/** `npm run stress` from end to end: k6, the audit and the verdict, against real parts. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { BadUsage } from '../../command-line/flags.ts';
import { createFolder, pressCtrlC } from '../../test/process.ts';
import { needs } from '../../test/programs.ts';
import { startSystem } from '../../test/system.ts';
import { until } from '../../test/until.ts';
import { readMetric } from '../metric.ts';
import { NotJudged } from '../run.ts';
import { readStressOptions } from '../stress-options.ts';
import { formatVerdict, readThresholds } from '../thresholds.ts';

const program = join(import.meta.dirname, '../stress.ts');

function runStress(args: string[], env: Record<string, string> = {}) {
  const { promise, resolve } = Promise.withResolvers<{ exitCode: unknown; stdout: string; stderr: string }>();
  const options = { env: { ...process.env, ...env } };
  execFile(process.execPath, [program, ...args], options, (error, stdout, stderr) => {
    resolve({ exitCode: error?.code ?? 0, stdout, stderr });
  });
  return promise;
}

describe('npm run stress', needs('mongodb', 'k6'), () => {
  test('runs k6, then the audit, and passes when both did', async () => {
    const system = await startSystem();
    const folder = createFolder();
    const args = ['--base-url', system.api.url, '--users', '5', '--duration', '3s', '--out', folder];
    const { exitCode, stdout, stderr } = await runStress([...args, '--quiet-period', '2s'], {
      MONGODB_URI: system.mongoDb.uri,
    });
    await system.stop();
    assert.match(stdout, /✓ audit: every confirmed id is stored exactly once\n\nPASS\n$/, stderr);
    for (const threshold of ['http_req_duration p(95)<2000', 'http_req_failed rate<0.01']) {
      assert.ok(stdout.includes(`✓ ${threshold} `), threshold);
    }
    assert.equal(exitCode, 0);
    const recorded = readFileSync(join(folder, 'summary.json'), 'utf8');

    // The same run, had it been slow.
    const slow = JSON.parse(recorded);
    slow.metrics.http_req_duration.thresholds['p(95)<2000'] = true;
    writeFileSync(join(folder, 'summary.json'), JSON.stringify(slow));
    const thresholds = await readThresholds(join(folder, 'summary.json'));
    assert.match(formatVerdict(thresholds, true), /✗ http_req_duration p\(95\)<2000 [^✗]*\nFAIL\n$/);
    assert.match(formatVerdict([], false), /✗ audit[^✗]*\nFAIL\n$/);
  });

  test('judges nothing without an api that is ready, or without k6, and says how to get that', async () => {
    const away = await runStress(['--base-url', 'http://127.0.0.1:1', '--duration', '1s']);
    assert.match(away.stderr, /127\.0\.0\.1:1\/readyz has to answer 200/);
    assert.equal(away.exitCode, 2);
    const nowhere = {
      PATH: '',
      HOME: createFolder(),
      GOPATH: createFolder(),
      XDG_CACHE_HOME: createFolder(),
    };
    const { exitCode, stderr } = await runStress(['--base-url', 'http://127.0.0.1:1'], nowhere);
    assert.match(stderr, /go install go\.k6\.io\/k6@/);
    assert.equal(exitCode, 2);
  });

  /** Resolves when its load is under way. */
  async function startStress(context: TestContext, ...args: string[]) {
    const system = await startSystem();
    const where = ['--base-url', system.api.url, '--out', createFolder()];
    const load = ['--users', '5', '--duration', '1m'];
    const child = spawn(process.execPath, [program, ...where, ...load, ...args], {
      env: { ...process.env, MONGODB_URI: system.mongoDb.uri },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    context.after(async () => {
      child.kill('SIGKILL');
      await system.stop();
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (text) => {
        output += text;
      });
    }
    await until(
      () => readMetric(system.api.url, 'api_writes_confirmed_total'),
      (writes) => writes > 500,
    );
    return { child, pid: child.pid as number, closed: once(child, 'close'), output: () => output };
  }

  test('Ctrl-C ends the load early, and its audit and the verdict follow', async (context) => {
    const { pid, closed, output } = await startStress(context, '--quiet-period', '2s');
    await pressCtrlC(pid);
    await closed;
    assert.match(output(), /✓ audit: every confirmed id is stored exactly once\n\n(PASS|FAIL)\n$/);
  });

  test('Ctrl-C once more does not wait for the audit', async (context) => {
    const { child, pid, closed, output } = await startStress(context, '--quiet-period', '5m');
    await pressCtrlC(pid);
    await until(output, (text) => text.includes('waiting until what was confirmed is stored'));
    await until(() => !child.kill('SIGINT'));
    await closed;
    assert.equal(child.exitCode, 130, output());
  });

  test('a file that is no summary of k6 is not judged', async () => {
    const file = join(createFolder(), 'summary.json');
    await assert.rejects(readThresholds(file), NotJudged);
    for (const text of ['{"metrics":', '{"metrics":[]}', '{"metrics":{}}']) {
      writeFileSync(file, text);
      await assert.rejects(readThresholds(file), NotJudged, text);
    }
  });
});

test('the options of npm run stress become those of k6 and of the audit', () => {
  const read = (...args: string[]) => readStressOptions(args, {});
  assert.equal(read('--help'), 'help');
  const steady = read('--users', '7', '--base-url', 'http://127.0.0.1:3000/');
  assert.ok(steady !== 'help');
  assert.deepEqual(steady.k6Args, ['--vus', '7', '--duration', '30s']);
  assert.equal(steady.baseUrl, 'http://127.0.0.1:3000');
  assert.deepEqual([steady.isKeyed, steady.k6Environment.KEYS], [false, 'false']);
  const keyed = read('--keys');
  assert.ok(keyed !== 'help');
  assert.deepEqual([keyed.isKeyed, keyed.k6Environment.KEYS], [true, 'true']);
  const profile = read('--profile', 'short', '--think-time', '5', '--settle', '1m', '--quiet-period', '5s');
  assert.ok(profile !== 'help');
  assert.deepEqual(profile.k6Args, []);
  assert.equal(profile.k6Environment.PROFILE, 'short');
  assert.equal(profile.k6Environment.THINK_TIME, '5');
  assert.deepEqual(profile.auditArgs, ['--settle', '1m', '--quiet-period', '5s']);
});

const bad: [args: string[], message: RegExp][] = [
  [['--users', '0'], /^--users: wants a whole number from 1 to 10000/],
  [['--users', '10001'], /^--users: wants/],
  [['--duration', 'soon'], /^--duration: wants a time/],
  [['--profile', 'long'], /^--profile: wants full or short/],
  [['--profile', 'short', '--users', '5'], /^--profile: not with --users/],
  [['--think-time', '-1'], /./],
  [['--quiet-period', '0s'], /^--quiet-period: wants a time/],
  [['--base-url', 'nowhere'], /^--base-url: wants a URL/],
  [['--nope'], /--nope/],
];
for (const [args, message] of bad) {
  test(`npm run stress -- ${args.join(' ')} is bad usage that names the option`, () => {
    assert.throws(
      () => readStressOptions(args, {}),
      (error: Error) => error instanceof BadUsage && message.test(error.message),
    );
  });
}
