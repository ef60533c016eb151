/** Connections between two parts that are reset and refused, and some that are slow. */
import { setTimeout as pause } from 'node:timers/promises';
import { linkNames } from '../rig.ts';
import type { Fault } from './fault.ts';

/** From one that a bad network has to one that no deadline of the system's own outlasts for long. */
const delaysMs = [20, 100, 400] as const;

export const linkFaults: Fault[] = linkNames.flatMap((name): Fault[] => [
  {
    name: `cut-${name}`,
    touches: [name],
    async run({ links }, { holdMs }) {
      links[name].cut();
      await pause(holdMs);
      links[name].open();
    },
  },
  {
    name: `slow-${name}`,
    touches: [name],
    async run({ links }, { holdMs, random }) {
      links[name].slow(random.pick(delaysMs));
      await pause(holdMs);
      links[name].open();
    },
  },
]);
