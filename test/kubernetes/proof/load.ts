/** A load in a pod of its own, through the Service, and the audit after it (stress-test/audit.ts). */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { Findings } from '../../../stress-test/judgement.ts';
import type { Cluster } from './cluster.ts';

export type Judged = Findings & { problems: string[] };

export interface Load {
  /** Ends the load, not its audit. @throws Error when it had ended by itself: part of a check had no load. */
  stop(): Promise<void>;
  /** Waits for the audit. @throws Error when it judged nothing. */
  findings(): Promise<Judged>;
}

const selector = 'app.kubernetes.io/name=load';
const policies = join(import.meta.dirname, 'network-policies.yaml');

/** What takes every trace of a load away. */
export const loadCleanUp = [
  ['delete', 'pod', '--selector', selector, '--wait=false'],
  ['delete', '--filename', policies, '--ignore-not-found'],
];

/** Longer than any check needs it; it is stopped when the check is done. */
const durationMax = '6m';

/** Longer than the 10 s that a dead writer's leases last, after which a double would come. */
const quiet = '15s';

const judgedSecondsMax = 420;

/** Resolves when requests are under way. */
export async function startLoad(cluster: Cluster, check: string, connections: number): Promise<Load> {
  const pod = await startPod(cluster, check, [
    ...['node', 'stress-test/audit.ts', '--json', '--out', '/tmp', '--connections', String(connections)],
    ...['--duration', durationMax, '--quiet-period', quiet],
  ]);
  const log = () => cluster.run(['logs', pod]);
  await cluster.until('the load has not begun', async () => {
    const { phase } = (await cluster.get('pod', pod)).status;
    if (phase === 'Failed') throw new Error(await log());
    return phase === 'Running' && (await log()).includes('load: ');
  });
  return {
    async stop() {
      if ((await log()).includes('waiting until')) throw new Error('the load ended too early');
      await cluster.run(['exec', pod, '--', 'node', '--eval', "process.kill(1, 'SIGINT')"]);
    },
    findings: async () => readFindings((await waitForEnd(cluster, pod)).log),
  };
}

export interface EndedPod {
  exitCode: number;
  log: string;
}

/** Runs `command` to its end. */
export async function runInPod(cluster: Cluster, check: string, command: string[]): Promise<EndedPod> {
  return waitForEnd(cluster, await startPod(cluster, check, command));
}

/** @throws Error with the log when the audit printed none. */
export function readFindings(log: string): Judged {
  const json = log.split('\n').findLast((line) => line.startsWith('{'));
  if (!json) throw new Error(`nothing was judged: ${log.trim()}`);
  return JSON.parse(json);
}

async function startPod(cluster: Cluster, check: string, command: string[]): Promise<string> {
  const pod = parse(readFileSync(join(import.meta.dirname, 'load-pod.yaml'), 'utf8'));
  pod.metadata.name = `load-${check}`;
  pod.spec.containers[0].command = command;
  await cluster.run(['apply', '--filename', policies]);
  // Of a check that failed one may still be at it, and would count as doubles.
  await cluster.run(['delete', 'pod', '--selector', selector]);
  await cluster.run(['create', '--filename=-'], JSON.stringify(pod));
  return pod.metadata.name;
}

async function waitForEnd(cluster: Cluster, pod: string): Promise<EndedPod> {
  let phase = '';
  let exitCode = 1;
  await cluster.until(
    `pod ${pod} has not ended`,
    async () => {
      const { status } = await cluster.get('pod', pod);
      phase = status.phase;
      exitCode = status.containerStatuses?.[0]?.state.terminated?.exitCode ?? 1;
      return phase === 'Succeeded' || phase === 'Failed';
    },
    judgedSecondsMax,
  );
  return { exitCode, log: await cluster.run(['logs', pod]) };
}
