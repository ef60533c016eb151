/**
 * A process of its own that outlives `npm start`: its standard input is a pipe that ends when `npm start`
 * does. When that comes without a goodbye, as after kill -9, it ends the children that are recorded.
 *
 * Arguments: the data folder, and the process id and start time of `npm start`.
 */
import { text } from 'node:stream/consumers';
import { endLeftovers } from './leftovers.ts';
import { readRun, recordEnded } from './run-state.ts';

const [dataFolder, pid, startedAt] = process.argv.slice(2);
if (!dataFolder || !pid || startedAt === undefined) {
  console.error('The guard is started by npm start alone.');
  process.exit(1);
}
// Whoever ends npm start's group or terminal does not mean this one.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});

const farewell = await text(process.stdin).catch(() => '');
if (farewell !== 'goodbye') {
  console.log(`${new Date().toISOString()} npm start (process ${pid}) died; ending its children`);
  const run = readRun(dataFolder);
  // A new start may have the folder already, and its children are not to be touched.
  if (run && run.parent.pid === Number(pid) && run.parent.startedAt === startedAt) {
    const ended = await endLeftovers(run.children, (line) => console.log(line));
    recordEnded(dataFolder, run, ended);
  }
}
process.exit(0);
