/**
 * The assessment's users without its load generator: 10,000 connections without think time.
 *
 * Beside them a few of the audit's own clients write every id down that they were given, and each is looked up.
 * All documents of the run are counted as well: there have to be exactly as many as the api has confirmed.
 */
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { writesPerRequest } from '@assessment/api/envelope';
import { createFolder } from '../../../test/process.ts';
import { readApiClock } from '../../api-client.ts';
import { driveLoad } from '../../load.ts';
import { alternate } from '../alternate.ts';
import { addAudit } from '../arrival.ts';
import { addMeasurement, type BenchRun, measureWrk, startSystems, warm, withSubjects } from '../run.ts';
import type { System } from '../subjects.ts';

const row = 'users' as const;
const targets = { rate: 6_000, p95: 2_000, p99: 5_000 } as const;
const auditedConnections = 20;

export async function measureUsers(run: BenchRun): Promise<void> {
  const { scale, say } = run;
  await withSubjects(startSystems(run), async (systems) => {
    const all = Object.entries(systems);
    for (const [name, system] of all) {
      say(`warming ${name}`);
      await warm(system, scale);
    }
    await alternate(scale.rounds, all, async ([name, system], round) => {
      say(`round ${round + 1} of ${scale.rounds}: ${name}`);
      await measureRound(run, name, system);
    });
  });
}

async function measureRound({ scale, figures, say }: BenchRun, name: string, system: System): Promise<void> {
  const { users, usersSeconds } = scale;
  const [baseUrl = ''] = system.urls;
  const beganAt = await readApiClock(baseUrl);
  await pause(1_000); // into the first second in which nothing has an id
  const before = await system.counts();
  const load = {
    baseUrl,
    connections: auditedConnections,
    durationMs: usersSeconds * 1_000,
    idsFile: join(createFolder(), 'ids.txt'),
    signal: new AbortController().signal,
  };
  const [measurement, audited] = await Promise.all([
    measureWrk(system, { connections: users, seconds: usersSeconds }),
    driveLoad(load, beganAt),
  ]);
  addMeasurement(figures, row, name, measurement, { targets });
  say(`round: looking up what was confirmed`);
  const confirmed = ((await system.counts()).accepted - before.accepted) / writesPerRequest;
  await addAudit(figures, row, name, system, { ...audited, sent: confirmed, confirmed, refused: 0 });
}
