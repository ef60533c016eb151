/** What an earlier start left behind: it is ended, by id and start time, and said. */
import { inDrainOrder } from './drain-order.ts';
import { endProcess, isAlive, type RecordedProcess } from './processes.ts';
import type { RunState } from './run-state.ts';
import type { Terminal } from './terminal.ts';

/** As long as a drain may take by default; a MongoDB that needs longer and is killed recovers from its journal. */
const graceMs = 20_000;

/** Before anything is started: a port or a data folder that is still in use would be in the way. */
export async function reportEarlier(
  runState: Pick<RunState, 'earlier' | 'remove'>,
  terminal: Terminal,
): Promise<void> {
  const { earlier } = runState;
  if (!earlier) return;
  terminal.line(`The last npm start (process ${earlier.parent.pid}) died without stopping its children.`);
  if (earlier.endedByGuard.length > 0) {
    terminal.entry('Earlier', `its guard has ended them: ${earlier.endedByGuard.join(', ')}`);
  }
  const ended = await endLeftovers(earlier.children, (line) => terminal.entry('Earlier', line));
  if (ended.length === 0 && earlier.endedByGuard.length === 0) {
    terminal.entry('Earlier', 'none of them runs any more');
  }
  for (const { pid } of earlier.children) runState.remove(pid);
}

/** Ends those that are still alive, one after the other, and returns their names. */
export async function endLeftovers(
  children: readonly RecordedProcess[],
  report: (line: string) => void,
): Promise<string[]> {
  const alive = inDrainOrder(children.filter(isAlive));
  for (const child of alive) {
    const outcome = await endProcess(child, { graceMs });
    const how = outcome === 'killed' ? `took no SIGTERM for ${graceMs / 1000} s and was killed` : 'was ended';
    report(`${child.name} (process ${child.pid}) ${how}`);
  }
  return alive.map(({ name }) => name);
}
