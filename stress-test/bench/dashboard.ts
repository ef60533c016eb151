/** What the dashboard costs. `npx node stress-test/bench/dashboard.ts --help` says how. */
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { parseFlags, readOptionsOrExit } from '../../command-line/flags.ts';
import { startSystem } from '../../test/system.ts';
import { cpuTimeMs } from './cpu-time.ts';

const command = 'npx node stress-test/bench/dashboard.ts';

const help = `Measures what ten viewers of the dashboard cost api, writer, emulator and MongoDB in CPU time.

  ${command}

  --help   this text

Everything runs on this machine, on free ports of loopback. A minute and a half; Ctrl-C ends all that was started.
Exit code: 0 measured, 1 the run failed, 2 bad usage, 130 stopped by Ctrl-C or SIGTERM.

Examples:
  ${command}
`;

readOptionsOrExit(command, help, () => {
  const { values } = parseFlags(process.argv.slice(2), { help: { type: 'boolean', short: 'h' } });
  return values.help ? 'help' : {};
});

const viewers = 10;
const seconds = 30;
const warmUpMs = 5_000;

const system = await startSystem();
const { api, writer, broker, mongoDb } = system;
const pids = { api: api.pid(), writer: writer.pid(), emulator: broker.pid(), MongoDB: mongoDb.pid() };

/** Percent of a core, of each. */
async function measure(): Promise<number[]> {
  await pause(warmUpMs);
  const before = Object.values(pids).map(cpuTimeMs);
  await pause(seconds * 1000);
  return Object.values(pids).map((pid, index) => (cpuTimeMs(pid) - (before[index] ?? 0)) / (seconds * 10));
}

async function watch(): Promise<() => number> {
  const [response] = (await once(get(`${api.url}/dashboard/events`, { agent: false }), 'response')) as [
    IncomingMessage,
  ];
  let bytes = 0;
  response.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  response.on('error', () => {});
  return () => bytes;
}

const idle = await measure();
const streams = await Promise.all(Array.from({ length: viewers }, watch));
const watched = await measure();
const bytes = streams[0]?.() ?? 0;
console.log(`percent of a core over ${seconds} s    nobody   ${viewers} viewers   more`);
for (const [index, name] of Object.keys(pids).entries()) {
  const [before = 0, after = 0] = [idle[index], watched[index]];
  const columns = [before, after, after - before].map((value) => value.toFixed(2).padStart(9));
  console.log(name.padEnd(30) + columns.join('   '));
}
console.log(`bytes a second for a viewer: ${Math.round(bytes / (seconds + warmUpMs / 1000))}`);
await system.stop();
process.exit(0);
