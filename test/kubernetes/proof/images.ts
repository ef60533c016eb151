/** The images that the proof needs beside those that setup.sh builds. */
import { copyFileSync, cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createFolder } from '../../process.ts';
import { findK6, findProgram } from '../../programs.ts';
import { root } from '../manifests.ts';
import type { Proof } from './checks.ts';
import { run, standIns } from './scripts.ts';

const images = {
  api: 'assessment.local/api:0.1.0',
  load: 'assessment.local/load:0.1.0',
  k6: 'assessment.local/k6:1.8.1',
  mongo: 'mongo:7.0',
};

/** Builds them and brings them into the cluster. @throws Error with what docker said last. */
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

function words(text = ''): string[] {
  return text.split(' ').filter(Boolean);
}
