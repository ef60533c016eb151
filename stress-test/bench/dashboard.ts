/** What the dashboard costs. `npx node stress-test/bench/dashboard.ts --help` says how. */
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { CannotRun } from '../../command-line/cannot-run.ts';
import { exitCodes, runCommand } from '../../command-line/command.ts';
import { parseFlags } from '../../command-line/flags.ts';
import { endProgress, showEverySecond, showProgress } from '../../command-line/progress.ts';
import { needs } from '../../test/programs.ts';
import { startSystem } from '../../test/system.ts';
import { cpuTimeMs } from './cpu-time.ts';

const command = 'npx node stress-test/bench/dashboard.ts';

const help = `Measures what ten viewers of the dashboard cost api, writer, emulator and MongoDB in CPU time.

  ${command}

  --help   this text

Everything runs on this machine, on free ports of loopback. A minute and a half; Ctrl-C ends all that was started.
Exit code: 0 measured, 1 the run failed, 2 bad usage or a part is not there, 130 stopped by Ctrl-C or SIGTERM.

Examples:
  ${command}
`;

const viewers = 10;
const seconds = 30;
const warmUpMs = 5_000;

async function measureViewers(): Promise<number> {
  const { skip } = needs('mongodb');
  if (skip) throw new CannotRun(skip);
  showProgress('starting the system');
  const system = await startSystem();
  const { api, writer, broker, mongoDb } = system;
  const pids = { api: api.pid(), writer: writer.pid(), emulator: broker.pid(), MongoDB: mongoDb.pid() };
  const idle = await measure(Object.values(pids), 'nobody looks');
  const streams = await Promise.all(Array.from({ length: viewers }, () => watch(api.url)));
  const watched = await measure(Object.values(pids), `${viewers} viewers`);
  endProgress();
  const bytes = streams[0]?.() ?? 0;
  console.log(`percent of a core over ${seconds} s    nobody   ${viewers} viewers   more`);
  for (const [index, name] of Object.keys(pids).entries()) {
    const [before = 0, after = 0] = [idle[index], watched[index]];
    const columns = [before, after, after - before].map((value) => value.toFixed(2).padStart(9));
    console.log(name.padEnd(30) + columns.join('   '));
  }
  console.log(`bytes a second for a viewer: ${Math.round(bytes / (seconds + warmUpMs / 1000))}`);
  await system.stop();
  return exitCodes.passed;
}

/** Percent of a core, of each. */
async function measure(pids: number[], what: string): Promise<number[]> {
  showProgress(`${what}: warming up`);
  await pause(warmUpMs);
  const before = pids.map(cpuTimeMs);
  await showEverySecond(pause(seconds * 1000), (passed) =>
    showProgress(`${what}: ${passed} of ${seconds} s`, passed / seconds),
  );
  return pids.map((pid, index) => (cpuTimeMs(pid) - (before[index] ?? 0)) / (seconds * 10));
}

/** @returns how many bytes have come so far. */
async function watch(apiUrl: string): Promise<() => number> {
  const [response] = (await once(get(`${apiUrl}/dashboard/events`, { agent: false }), 'response')) as [
    IncomingMessage,
  ];
  let bytes = 0;
  response.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  response.on('error', () => {});
  return () => bytes;
}

await runCommand({
  command,
  help,
  read() {
    const { values } = parseFlags(process.argv.slice(2), { help: { type: 'boolean', short: 'h' } });
    return values.help ? 'help' : {};
  },
  run: measureViewers,
  crashExitCode: exitCodes.failed,
});
