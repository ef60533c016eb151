/** A part that is killed, and one that stands still while its connections stay open. */
import { setTimeout as pause } from 'node:timers/promises';
import type { PartName } from '../part.ts';
import type { Fault } from './fault.ts';

const names: readonly PartName[] = ['api', 'writer', 'emulator', 'mongodb'];

export const processFaults: Fault[] = names.flatMap((name): Fault[] => [
  {
    name: `kill-${name}`,
    touches: [name],
    async run({ parts }, { holdMs }) {
      await parts[name].kill();
      await pause(holdMs);
      await parts[name].start();
    },
  },
  {
    name: `stop-${name}`,
    touches: [name],
    async run({ parts }, { holdMs }) {
      parts[name].pause();
      await pause(holdMs);
      parts[name].resume();
    },
  },
]);
