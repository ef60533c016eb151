/** Connections between two parts that are reset and refused, some that are slow, and some that fall silent. */
import { setTimeout as pause } from 'node:timers/promises';
import { answerTimeoutMs } from '../../api-client.ts';
import { type LinkName, linkNames } from '../rig.ts';
import type { Fault } from './fault.ts';

/** From one that a bad network has to one that no deadline of the system's own outlasts for long. */
const delaysMs = [20, 100, 400] as const;

/** gRPC's keepalive of api and writer: a ping after 10 s, and 5 s for its answer. */
const grpcNoticeMs = 15_000;

/** MongoDB's driver: a heartbeat 2 s after the one before, and 2 s for its answer (the api's mongo.ts). */
const mongoDbNoticeMs = 4_000;

/** Until the client of a silent connection knows, by the longest limit of its own. */
const noticeMs: Record<LinkName, number> = {
  'client-api': answerTimeoutMs,
  'api-emulator': grpcNoticeMs,
  'api-mongodb': mongoDbNoticeMs,
  'writer-emulator': grpcNoticeMs,
  'writer-mongodb': mongoDbNoticeMs,
};

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
  {
    name: `silent-${name}`,
    touches: [name],
    noticeMs: noticeMs[name],
    async run({ links }, { holdMs }) {
      links[name].silence();
      await pause(holdMs);
      links[name].open();
    },
  },
]);
