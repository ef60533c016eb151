/** What is proven, a check each: something is done to the cluster under load, and the audit judges after it. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Findings } from '../../../stress-test/judgement.ts';
import { startProcess } from '../../process.ts';
import { findProgram } from '../../programs.ts';
import type { Fields } from '../manifests.ts';
import { type Cluster, secondsSince, type Workload, workloads } from './cluster.ts';
import { type Judged, readFindings, runInPod, startLoad } from './load.ts';
import type { CheckName } from './options.ts';
import { cleanUp, setUp } from './scripts.ts';

export interface Proof {
  cluster: Cluster;
  context: string;
  connections: number;
  isStandIns: boolean;
  say: (text: string) => void;
}

export interface Seen {
  /** A few words for the table. */
  said: string;
  /** A sentence each; none is a pass. */
  problems: string[];
  findings?: Findings;
}

type Check = (proof: Proof, name: CheckName) => Promise<Seen>;

/** Of load before something happens to the cluster, and again after it is over. */
const calmMs = 5_000;

export const checks: Record<CheckName, Check> = {
  setup: setUp,
  endpoints: askEndpoints,
  'port-forward': askThroughPortForward,
  k6: runK6,
  'writer-pod': (proof, name) => underLoad(proof, name, () => deletePod(proof, workloads.writer)),
  'api-pod': (proof, name) => underLoad(proof, name, () => deletePod(proof, workloads.api)),
  'mongo-pod': (proof, name) => underLoad(proof, name, () => deletePod(proof, workloads.mongo)),
  'emulator-pod': deleteEmulatorPod,
  refill,
  'restart-api': (proof, name) => underLoad(proof, name, () => restart(proof, workloads.api)),
  'restart-writer': (proof, name) => underLoad(proof, name, () => restart(proof, workloads.writer)),
  autoscaler: scaleUpAndDown,
  cleanup: cleanUp,
};

/** The audit's, and each kind of failed request that may not be among the answers. */
export function findAllProblems(findings: Judged, isAllowed: (kind: string) => boolean): string[] {
  const failed = Object.entries(findings.run.failures).filter(([kind]) => !isAllowed(kind));
  return [...failed.map(([kind, count]) => `${count} requests failed: ${kind}.`), ...findings.problems];
}

const none = () => false;

/** As the audit's load names it: one without the header, or no answer at all, is another kind. */
export function isRefusal(kind: string): boolean {
  return /^503 [a-z_]+$/.test(kind);
}

/** @param isAllowed whether a failure of that kind may be among the answers */
async function underLoad(
  { cluster, connections, say }: Proof,
  name: CheckName,
  disturb: () => Promise<string>,
  isAllowed: (kind: string) => boolean = none,
): Promise<Seen> {
  say('the load begins');
  const load = await startLoad(cluster, name, connections);
  await pause(calmMs);
  say('under load');
  const said = await disturb();
  await pause(calmMs);
  await load.stop();
  say('the audit waits until all is stored');
  const findings = await load.findings();
  return { said, problems: findAllProblems(findings, isAllowed), findings };
}

/** Gracefully, as a drain of its node does. */
async function deletePod({ cluster }: Proof, workload: Workload): Promise<string> {
  const [pod] = (await cluster.pods(workload)) as [Fields];
  const from = performance.now();
  await cluster.run(['delete', 'pod', pod.metadata.name, '--wait=false']);
  await cluster.waitUntilReady(workload, [pod.metadata.uid]);
  return `ready again after ${secondsSince(from)} s`;
}

async function restart({ cluster }: Proof, workload: Workload): Promise<string> {
  const old = (await cluster.pods(workload)).map(({ metadata }) => metadata.uid);
  const from = performance.now();
  await cluster.run(['rollout', 'restart', workload.resource]);
  await cluster.waitUntilReady(workload, old);
  return `${old.length} pods replaced in ${secondsSince(from)} s`;
}

/** While it is away every request has to be answered, with 503 and Retry-After, and once it is back none more. */
async function deleteEmulatorPod(proof: Proof, name: CheckName): Promise<Seen> {
  const away = await underLoad(proof, name, () => deletePod(proof, workloads.emulator), isRefusal);
  const back = await underLoad(proof, name, async () => 'none since');
  const refused = Object.values(away.findings?.run.failures ?? {}).reduce((sum, count) => sum + count, 0);
  const problems = [...away.problems, ...back.problems];
  if (refused === 0) problems.push('Not one request was refused: the emulator was not away.');
  return { ...away, said: `${away.said}; ${refused} × 503 with Retry-After, ${back.said}`, problems };
}

/** What is confirmed and not stored outlives the pod, on its volume. */
async function refill({ cluster, connections, say }: Proof, name: CheckName): Promise<Seen> {
  const { replicas } = (await cluster.get(workloads.writer.resource)).spec;
  const scale = (count: number) => ['scale', workloads.writer.resource, `--replicas=${count}`];
  const scaleBack = cluster.undoAtExit(scale(replicas));
  let before: number;
  let after: number;
  let load: Awaited<ReturnType<typeof startLoad>>;
  try {
    say('writing without a writer');
    await cluster.run(scale(0));
    await cluster.waitUntilReady(workloads.writer);
    load = await startLoad(cluster, name, connections);
    await pause(calmMs);
    await load.stop();
    // What was under way is still answered.
    await pause(calmMs);
    before = await readBacklog(cluster);
    say('replacing the emulator');
    const { metadata } = await cluster.get('pod', 'pubsub-emulator-0');
    await cluster.run(['delete', 'pod', metadata.name, '--wait=false']);
    await cluster.waitUntilReady(workloads.emulator, [metadata.uid]);
    after = await readBacklog(cluster);
  } finally {
    await scaleBack();
  }
  say('the writer is back');
  await cluster.waitUntilReady(workloads.writer);
  const findings = await load.findings();
  const problems = findAllProblems(findings, none);
  if (before === 0) problems.push('There was no backlog to refill from.');
  if (before !== after) problems.push(`${before} envelopes before, ${after} after.`);
  return { said: `${after} of ${before} envelopes are back`, problems, findings };
}

/** Envelopes not acknowledged, as the emulator's own pod tells. */
async function readBacklog(cluster: Cluster): Promise<number> {
  const ask = 'fetch("http://127.0.0.1:8085/_emulator/backlog").then((a) => a.text()).then(console.log)';
  const answer = await cluster.run(['exec', 'pubsub-emulator-0', '--', 'node', '--eval', ask]);
  const { subscriptions } = JSON.parse(answer) as { subscriptions: Fields[] };
  return subscriptions.find(({ subscription }) => subscription.endsWith('/writes-writer'))?.unackedCount;
}

async function askEndpoints({ cluster }: Proof, name: CheckName): Promise<Seen> {
  const { exitCode, log } = await runInPod(cluster, name, ['node', 'proof/endpoints.ts', 'http://api']);
  const count = log.trim().split('\n').length;
  return { said: `${count} endpoints through the Service`, problems: exitCode === 0 ? [] : [log.trim()] };
}

/** For curl alone: it leads to one pod, and ends with it. */
async function askThroughPortForward({ cluster }: Proof): Promise<Seen> {
  const paths = ['/api/data', '/api/stats', '/healthz', '/readyz'];
  const problems: string[] = [];
  await using forward = await startProcess({
    command: findProgram('kubectl'),
    args: cluster.command(['port-forward', 'service/api', ':80']),
    ready: /Forwarding from 127\.0\.0\.1:\d+/,
  });
  const port = /127\.0\.0\.1:(\d+)/.exec(forward.output())?.[1];
  for (const path of paths) {
    const { status } = await fetch(`http://127.0.0.1:${port}${path}`, {
      signal: AbortSignal.timeout(10_000),
    });
    if (status !== 200) problems.push(`${path} answers ${status}.`);
  }
  return { said: `${paths.length} endpoints from outside`, problems };
}

/** The 95th and the 99th percentile as k6 prints them, whose columns are as wide as their widest figure. */
export function readDurations(log: string): [p95: string, p99: string] {
  const [, p95, p99] = /http_req_duration\.*:[^\n]*p\(95\)=(\S+)\s+p\(99\)=(\S+)/.exec(log) ?? [];
  if (p95 === undefined || p99 === undefined) throw new Error(`k6 said no http_req_duration:\n${log.trim()}`);
  return [p95, p99];
}

/** The assessment's thresholds with 100 users. */
async function runK6({ cluster, say }: Proof, name: CheckName): Promise<Seen> {
  say('100 users for 30 s');
  const run =
    'k6 run --quiet --vus 100 --duration 30s -e RECORD=true -e RECORD_EVERY=1 --console-output /tmp/k6.txt ' +
    '--log-format raw --summary-export /tmp/summary.json stress-test/stress-test.js';
  const audit =
    'node stress-test/audit.ts --ids /tmp/k6.txt --summary /tmp/summary.json --json --quiet-period 15s || true';
  const { exitCode, log } = await runInPod(cluster, name, ['sh', '-c', `${run} && { ${audit}; }`]);
  if (exitCode !== 0) return { said: 'thresholds crossed', problems: [log.trim()] };
  const findings = readFindings(log);
  const [p95, p99] = readDurations(log);
  const unconfirmed = findings.run.sent - findings.run.confirmed;
  const problems = [...findings.problems];
  if (unconfirmed > 0) problems.push(`${unconfirmed} requests were not confirmed.`);
  return { said: `100 users, 30 s: p95 ${p95}, p99 ${p99}`, problems, findings };
}

/** Up under 100 connections, and down again when they are gone. */
async function scaleUpAndDown(proof: Proof, name: CheckName): Promise<Seen> {
  const { cluster, say } = proof;
  const { minReplicas, maxReplicas } = (await cluster.get('hpa', 'api')).spec;
  const replicas = async () => (await cluster.get(workloads.api.resource)).spec.replicas;
  say('waiting for the fewest pods');
  await cluster.until(
    'the api has more pods than fewest',
    async () => (await replicas()) === minReplicas,
    420,
  );
  let scaledUpSeconds = 0;
  const seen = await underLoad({ ...proof, connections: 100 }, name, async () => {
    const from = performance.now();
    await cluster.until('the api is not scaled up', async () => (await replicas()) > minReplicas);
    scaledUpSeconds = secondsSince(from);
    await cluster.waitUntilReady(workloads.api);
    return '';
  });
  say('waiting for it to scale down');
  const from = performance.now();
  await cluster.until('the api is not scaled down', async () => (await replicas()) === minReplicas, 420);
  await cluster.waitUntilReady(workloads.api);
  const said =
    `${minReplicas} to at most ${maxReplicas} pods: more after ${scaledUpSeconds} s of load, ` +
    `${minReplicas} again ${secondsSince(from)} s after the audit`;
  return { ...seen, said };
}
