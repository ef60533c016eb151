/** setup.sh and cleanup.sh as a person runs them. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { root } from '../manifests.ts';
import type { Proof, Seen } from './checks.ts';
import { secondsSince } from './cluster.ts';

/** What k8s/ gets on a cluster without volumes. */
export const standIns = 'test/kubernetes/cluster';

export async function setUp(proof: Proof): Promise<Seen> {
  const { cluster, context, isStandIns } = proof;
  if (await isThere(proof)) {
    throw new Error(`The namespace assessment is there. ./cleanup.sh --context ${context} first, or --as-is`);
  }
  if (isStandIns) await emptyVolumes(proof);
  const from = performance.now();
  const more = isStandIns ? ['--kustomization', standIns] : [];
  await run(proof, './setup.sh', ['--context', context, ...more]);
  await cluster.waitUntilAllReady();
  return { said: `from nothing to ready in ${secondsSince(from)} s, images included`, problems: [] };
}

export async function cleanUp(proof: Proof): Promise<Seen> {
  await run(proof, './cleanup.sh', ['--context', proof.context]);
  if (proof.isStandIns) await emptyVolumes(proof);
  return {
    said: 'the namespace is gone',
    problems: (await isThere(proof)) ? ['The namespace is still there.'] : [],
  };
}

async function isThere({ cluster }: Proof): Promise<boolean> {
  return (await cluster.run(['get', 'namespace', 'assessment', '--ignore-not-found'])) !== '';
}

/** The folders of the node outlive a namespace. */
async function emptyVolumes({ cluster }: Proof): Promise<void> {
  const pod = join(root, standIns, 'empty-volumes.yaml');
  await cluster.run(['delete', 'persistentvolume', '--selector', 'app.kubernetes.io/part-of=assessment']);
  await cluster.run(['apply', '--namespace', 'default', '--filename', pod]);
  const ended = ['wait', '--for=jsonpath={.status.phase}=Succeeded', '--filename', pod, '--timeout=60s'];
  await cluster.run([...ended, '--namespace', 'default']);
  await cluster.run(['delete', '--namespace', 'default', '--filename', pod]);
}

/** Shows what a command says as it goes. @throws Error with the end of it when it fails. */
export async function run({ say }: Proof, command: string, args: string[]): Promise<void> {
  const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  const outputCharactersMax = 20_000;
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-outputCharactersMax);
      say(text.trim().split('\n').at(-1) ?? '');
    });
  }
  const [exitCode] = await once(child, 'close');
  if (exitCode !== 0) throw new Error(`${command} ${args.join(' ')}\n${output.trim()}`);
}
