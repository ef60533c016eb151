/**
 * Clients that repeat what was carried out. The api gets their requests and its answers are lost: they are withheld until
 * it has sent some, and then the connections are cut. Meanwhile each try goes out three times at the same moment, to
 * this api twice and to a second one beside it.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { readAnsweredCount } from '../../metric.ts';
import type { Fault } from './fault.ts';

const pollMs = 20;

export const repeatFaults: Fault[] = [
  {
    name: 'client-repeats',
    touches: ['client-api', 'api'],
    async run(rig, { holdMs, note }) {
      await using second = await rig.startSecondApi();
      rig.alsoTo.push(rig.apiUrl, second.url);
      const link = rig.links['client-api'];
      const endMs = performance.now() + holdMs;
      let cutCount = 0;
      do {
        const answered = await readAnsweredCount(rig.apiOwnUrl);
        link.mute();
        while ((await readAnsweredCount(rig.apiOwnUrl)) === answered) await pause(pollMs);
        link.cut();
        link.open();
        cutCount++;
      } while (performance.now() < endMs);
      rig.alsoTo.length = 0;
      note(`${cutCount} cuts before the answers`);
    },
  },
];
