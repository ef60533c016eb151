/** A writer that dies at the two moments at which a lost or doubled document would begin, and two writers at once. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Treatment } from '../mongodb-link.ts';
import type { Rig } from '../rig.ts';
import type { Fault } from './fault.ts';

export const writerFaults: Fault[] = [
  {
    name: 'writer-dies-before-store',
    touches: ['writer', 'writer-mongodb'],
    run: (rig, { holdMs }) => killAtInsert(rig, holdMs, { isForwarded: false }),
  },
  {
    name: 'writer-dies-before-ack',
    touches: ['writer', 'writer-mongodb'],
    run: (rig, { holdMs }) => killAtInsert(rig, holdMs, { isForwarded: true }),
  },
  {
    name: 'two-writers',
    touches: ['writer'],
    async run(rig, { holdMs }) {
      await using second = await rig.startSecondWriter();
      await pause(holdMs);
      await rig.parts.writer.kill();
      await rig.parts.writer.start();
      await second.stop();
    },
  },
];

/** With what it has pulled before MongoDB gets it, or with MongoDB's answer, journaled, on its way back. */
async function killAtInsert(rig: Rig, holdMs: number, treatment: Omit<Treatment, 'reply'>): Promise<void> {
  const { promise: killed, resolve } = Promise.withResolvers<void>();
  let killing: Promise<void> | undefined;
  rig.links['writer-mongodb'].treatInserts(() => ({
    ...treatment,
    async reply() {
      killing ??= rig.parts.writer.kill();
      await killing;
      resolve();
      return undefined;
    },
  }));
  await killed;
  rig.links['writer-mongodb'].treatInserts(undefined);
  await pause(holdMs);
  await rig.parts.writer.start();
}
