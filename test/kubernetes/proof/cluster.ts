/** The cluster of one kubeconfig context: kubectl, and what the checks wait for. */
import { execFileSync } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { findProgram } from '../../programs.ts';
import { type KubectlResult, runKubectl } from '../apiserver.ts';
import type { Fields } from '../manifests.ts';

/** A Deployment or StatefulSet, and how its pods are found. */
export interface Workload {
  resource: string;
  selector: string;
}

export const workloads = {
  api: { resource: 'deployment/api', selector: 'app.kubernetes.io/name=api' },
  writer: { resource: 'deployment/writer', selector: 'app.kubernetes.io/name=writer' },
  mongo: { resource: 'deployment/mongo', selector: 'app=mongo' },
  emulator: { resource: 'statefulset/pubsub-emulator', selector: 'app.kubernetes.io/name=pubsub-emulator' },
} as const satisfies Record<string, Workload>;

export class Cluster {
  readonly #flags: string[];
  /** kubectl commands that leave the cluster as it was, whenever this process ends. */
  readonly #undone = new Set<string[]>();

  constructor(context: string) {
    this.#flags = ['--context', context, '--namespace', 'assessment'];
    process.once('exit', () => {
      for (const args of this.#undone) this.#runNow(args);
    });
  }

  /** Every flag that kubectl needs to act on this cluster, for who starts it himself. */
  command(args: string[]): string[] {
    return [...this.#flags, ...args];
  }

  try(args: string[], input?: string): Promise<KubectlResult> {
    return runKubectl(this.command(args), input);
  }

  /** @throws Error with what kubectl said. */
  async run(args: string[], input?: string): Promise<string> {
    const { code, stdout, stderr } = await this.try(args, input);
    if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr.trim()}`);
    return stdout;
  }

  async get(...args: string[]): Promise<Fields> {
    return JSON.parse(await this.run(['get', ...args, '--output=json']));
  }

  /** Runs `args` when this process ends, Ctrl-C included; what is returned runs them now instead. */
  undoAtExit(args: string[]): () => Promise<void> {
    this.#undone.add(args);
    return async () => {
      this.#undone.delete(args);
      await this.run(args);
    };
  }

  async pods({ selector }: Workload): Promise<Fields[]> {
    return (await this.get('pods', '--selector', selector)).items;
  }

  /** All pods that are wanted run and are ready, and no other is there, neither `gone` nor one that still ends. */
  async waitUntilReady(workload: Workload, gone: readonly string[] = []): Promise<void> {
    await this.until(`${workload.resource} is not ready`, async () => {
      const [{ spec, metadata, status }, pods] = await Promise.all([
        this.get(workload.resource) as Promise<Fields>,
        this.pods(workload),
      ]);
      return (
        status.observedGeneration === metadata.generation &&
        pods.length === spec.replicas &&
        pods.every((pod) => isReady(pod) && !gone.includes(pod.metadata.uid))
      );
    });
  }

  async waitUntilAllReady(): Promise<void> {
    for (const workload of Object.values(workloads)) await this.waitUntilReady(workload);
  }

  /** @throws Error with `what` when `isMet` is not within the time. */
  async until(what: string, isMet: () => Promise<boolean>, seconds = 240): Promise<void> {
    const deadline = performance.now() + seconds * 1_000;
    while (!(await isMet())) {
      if (performance.now() > deadline) throw new Error(`${what} after ${seconds} s`);
      await pause(500);
    }
  }

  #runNow(args: string[]): void {
    try {
      execFileSync(findProgram('kubectl'), this.command(args), { stdio: 'ignore', timeout: 30_000 });
    } catch {
      console.error(`not undone: kubectl ${args.join(' ')}`);
    }
  }
}

function isReady({ metadata, status }: Fields): boolean {
  const conditions: Fields[] = status.conditions ?? [];
  const ready = conditions.some(({ type, status: value }) => type === 'Ready' && value === 'True');
  return ready && !metadata.deletionTimestamp;
}

export function secondsSince(from: number): number {
  return Math.round((performance.now() - from) / 1_000);
}
