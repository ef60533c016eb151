/** Profiles of the parts that run in Node, under the load of the bench. `npm run profile -- --help` says how. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CannotRun } from '../../command-line/cannot-run.ts';
import { exitCodes, runCommand } from '../../command-line/command.ts';
import { endProgress, showEverySecond, showProgress } from '../../command-line/progress.ts';
import { startApi, startEmulator, startMongoDb, startWriter } from '../../test/parts.ts';
import { createFolder } from '../../test/process.ts';
import { needs } from '../../test/programs.ts';
import { runWrk } from '../bench/wrk.ts';
import { createOutFolder } from '../out-folder.ts';
import { type CpuProfile, cut, parseProfile, shareByFunction, shareByPackage } from './cpu-profile.ts';
import { help, type ProfileOptions, readOptions } from './options.ts';

const warmSeconds = 5;
const rowsMax = 20;
const partNames = ['api', 'writer', 'broker'] as const;

async function profile({ connections, seconds, folder }: ProfileOptions): Promise<number> {
  const { skip } = needs('mongodb', 'wrk');
  if (skip) throw new CannotRun(skip);
  await createOutFolder(folder);
  const raw = createFolder();
  const node = (part: string) => `--cpu-prof --cpu-prof-dir=${raw} --cpu-prof-name=${part}.cpuprofile`;
  showProgress('starting the system');
  const [mongoDb, broker] = await Promise.all([
    startMongoDb(),
    startEmulator(undefined, { wrapper: ['env', `NODE_OPTIONS=${node('broker')}`] }),
  ]);
  const backends = { mongoDb, broker };
  const api = await startApi({ ...backends, env: { NODE_OPTIONS: node('api') } });
  const writer = await startWriter({ ...backends, env: { NODE_OPTIONS: node('writer') } });
  const url = `${api.url}/api/data`;
  const loadFor = (loadSeconds: number, what: string) =>
    showEverySecond(runWrk(url, { connections, seconds: loadSeconds }), (passed) =>
      showProgress(`${what}, ${passed} of ${loadSeconds} s`, passed / loadSeconds),
    );
  await loadFor(warmSeconds, 'warming up');
  const from = monotonicMicros();
  const { requests, requestsPerSecond } = await loadFor(seconds, 'load');
  const to = monotonicMicros();
  showProgress('collecting');
  // At their end they write their profiles.
  for (const running of [api, writer, broker, mongoDb]) await running.stop();
  endProgress();
  console.log(
    `${requests} requests over ${connections} connections, ${Math.round(requestsPerSecond)} a second\n`,
  );
  for (const part of partNames) {
    const file = join(folder, `${part}.cpuprofile`);
    const result = cut(parseProfile(readFileSync(join(raw, `${part}.cpuprofile`), 'utf8')), from, to);
    writeFileSync(file, JSON.stringify(result));
    console.log(formatProfile(part, result, requests));
  }
  console.log(`Flame graphs: npx speedscope ${join(folder, 'api.cpuprofile')}`);
  return exitCodes.passed;
}

function formatProfile(part: string, result: CpuProfile, requests: number): string {
  const total = result.endTime;
  const row = ([name, micros]: [string, number]) =>
    `| ${name} | ${(micros / requests).toFixed(1)} | ${((100 * micros) / total).toFixed(1)} % |`;
  return [
    `### ${part}: ${(total / requests).toFixed(1)} µs a request of its JavaScript thread`,
    '',
    '| where | µs a request | share |',
    '|---|--:|--:|',
    ...[...shareByPackage(result)].slice(0, rowsMax).map(row),
    '| | | |',
    ...[...shareByFunction(result)].slice(0, rowsMax).map(row),
    '',
  ].join('\n');
}

/** The clock of V8's profiles. */
function monotonicMicros(): number {
  return Number(process.hrtime.bigint() / 1_000n);
}

await runCommand({
  command: 'npm run profile --',
  help,
  read: () => readOptions(process.argv.slice(2)),
  run: profile,
  crashExitCode: exitCodes.failed,
});
