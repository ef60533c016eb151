import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { names } from '@assessment/api/names';
import { createPubSub } from '@assessment/api/pubsub';
import { startEmulator } from '../parts.ts';
import { createFolder, startProcess } from '../process.ts';
import { needs } from '../programs.ts';
import { containerOf, environmentOf, find, root } from './manifests.ts';

const project = find('ConfigMap', 'connections').data.PUBSUB_PROJECT_ID;

/** Runs the Job's program against `host`, and resolves with what it said. */
async function runProgram(host: string): Promise<string> {
  const job = find('Job', 'declare-topics');
  await using program = await startProcess({
    command: process.execPath,
    args: containerOf(job).args.map((file: string) => join(root, file)),
    env: { ...environmentOf(job), PUBSUB_EMULATOR_HOST: host },
    ready: /\n/,
  });
  assert.equal(await program.exited(), 0);
  return program.output();
}

/** Of both subscriptions, as the broker at `host` has them. */
async function readSettings(host: string) {
  process.env.PUBSUB_EMULATOR_HOST = host;
  const pubsub = createPubSub({ PUBSUB_PROJECT_ID: project, PUBSUB_EMULATOR_HOST: host });
  const subscriptions = [names.subscription, names.deadLetterSubscription].map((name) =>
    pubsub.subscription(name),
  );
  const settings = await Promise.all(subscriptions.map((subscription) => subscription.getMetadata()));
  await pubsub.close();
  return settings.map(([metadata]) => metadata);
}

test("the Job's program declares what the contract says", async () => {
  await using broker = await startEmulator('{}');
  assert.match(await runProgram(broker.host), /declared writes-dead-letter, .*, writes, writes-writer\n/);
  const [writes, deadLetters] = await readSettings(broker.host);
  assert.equal(writes?.topic, `projects/${project}/topics/${names.topic}`);
  assert.equal(writes?.ackDeadlineSeconds, 60);
  assert.equal(Number(writes?.messageRetentionDuration?.seconds), 31 * 24 * 3600);
  assert.equal(writes?.expirationPolicy?.ttl ?? null, null);
  assert.equal(writes?.deadLetterPolicy ?? null, null);
  assert.equal(deadLetters?.topic, `projects/${project}/topics/${names.deadLetterTopic}`);
});

test("the emulator's own declaration in its manifest is the same", async () => {
  const { EMULATOR_DECLARE } = environmentOf(find('StatefulSet', 'pubsub-emulator'));
  await using declared = await startEmulator(EMULATOR_DECLARE);
  assert.match(await runProgram(declared.host), /all was declared already/);
  await using empty = await startEmulator('{}');
  await runProgram(empty.host);
  assert.deepEqual(await readSettings(declared.host), await readSettings(empty.host));
});

test("the gcloud commands of google-cloud's README declare the same", needs('gcloud'), async () => {
  const readme = readFileSync(join(root, 'k8s/components/google-cloud/README.md'), 'utf8');
  const commands = readme.match(/gcloud pubsub (?:topics|subscriptions) create (?:.*\\\n)*.*/g);
  assert.equal(commands?.length, 3);
  await using broker = await startEmulator('{}');
  await promisify(execFile)('sh', ['-ec', commands.join('\n')], {
    env: {
      ...process.env,
      CLOUDSDK_CONFIG: createFolder(),
      CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB: `http://${broker.host}/`,
      CLOUDSDK_AUTH_DISABLE_CREDENTIALS: 'true',
      CLOUDSDK_CORE_DISABLE_PROMPTS: 'true',
      CLOUDSDK_CORE_DISABLE_USAGE_REPORTING: 'true',
      CLOUDSDK_CORE_PROJECT: project,
    },
  });
  assert.match(await runProgram(broker.host), /all was declared already/);
  await using empty = await startEmulator('{}');
  await runProgram(empty.host);
  assert.deepEqual(await readSettings(broker.host), await readSettings(empty.host));
});
