/** setup.sh and cleanup.sh as a person runs them, and the images that the proof needs beside theirs. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findK6, findProgram } from '../../parts.ts';
import { createFolder } from '../../process.ts';
import { root } from '../manifests.ts';
import type { Proof, Seen } from './checks.ts';
import { secondsSince } from './cluster.ts';

const images = {
  api: 'assessment.local/api:0.1.0',
  load: 'assessment.local/load:0.1.0',
  k6: 'assessment.local/k6:1.8.1',
  mongo: 'mongo:7.0',
};
const standIns = 'test/kubernetes/cluster';

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

/** What setup.sh does not build, brought into the cluster. */
export async function loadImages(proof: Proof): Promise<void> {
  const k6 = proof.isStandIns ? ['--build-arg', `K6_IMAGE=${images.k6}`] : [];
  await build(proof, images.api, ['--target', 'api', root]);
  if (proof.isStandIns) {
    await build(proof, images.k6, [createK6Context()]);
    await build(proof, images.mongo, [createMongoContext()]);
    await load(proof, images.mongo);
    // On this machine the name goes back to the real one.
    await run(proof, 'docker', ['image', 'rm', images.mongo]);
  }
  await build(proof, images.load, ['--file', join(import.meta.dirname, 'Dockerfile'), ...k6, root]);
  await load(proof, images.load);
}

function build(proof: Proof, image: string, args: string[]): Promise<void> {
  return run(proof, 'docker', ['build', ...words(process.env.DOCKER_BUILD_OPTIONS), '--tag', image, ...args]);
}

function load(proof: Proof, image: string): Promise<void> {
  const [command = '', ...args] = words(process.env.IMAGE_LOAD_COMMAND);
  return run(proof, command, [...args, image]);
}

function createMongoContext(): string {
  const folder = createFolder();
  cpSync(join(root, standIns, 'mongo'), folder, { recursive: true });
  copyFileSync(findProgram('secantusd-rs'), join(folder, 'secantusd-rs'));
  return folder;
}

function createK6Context(): string {
  const folder = createFolder();
  copyFileSync(findK6() ?? findProgram('k6'), join(folder, 'k6'));
  writeFileSync(join(folder, 'Dockerfile'), 'FROM scratch\nCOPY k6 /usr/bin/k6\n');
  return folder;
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
async function run({ say }: Proof, command: string, args: string[]): Promise<void> {
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

function words(text = ''): string[] {
  return text.split(' ').filter(Boolean);
}
