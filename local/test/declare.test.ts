import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { sharedVariables } from '@assessment/api/environment';
import { names } from '@assessment/api/names';
import { createPubSub } from '@assessment/api/pubsub';
import { startEmulator, startGoogleEmulator } from '../../test/parts.ts';
import { findFreePort, startProcess } from '../../test/process.ts';
import { needs } from '../../test/programs.ts';
import { until } from '../../test/until.ts';
import { declare } from '../declare.ts';

const projectId = 'declare-test';
const everything = [
  names.deadLetterTopic,
  names.deadLetterSubscription,
  names.topic,
  names.subscription,
] as const;

function connect(host: string, project = projectId) {
  process.env.PUBSUB_EMULATOR_HOST = host;
  return createPubSub({ PUBSUB_PROJECT_ID: project, PUBSUB_EMULATOR_HOST: host });
}

/** `node local/declare.ts` as a Job runs it; ready when it has said something. */
function startAlone(env: Record<string, string>, ...flags: string[]) {
  return startProcess({
    command: process.execPath,
    args: [join(import.meta.dirname, '..', 'declare.ts'), ...flags],
    env: { PUBSUB_PROJECT_ID: projectId, ...env },
    ready: /\n/,
  });
}

test('declares what is missing with the settings of the contract', needs('googleEmulator'), async () => {
  await using broker = await startGoogleEmulator();
  const pubsub = connect(broker.host);
  assert.deepEqual(await declare(pubsub), [...everything]);
  assert.deepEqual(await declare(pubsub), []);

  const [settings] = await pubsub.subscription(names.subscription).getMetadata();
  assert.equal(settings.topic, `projects/${projectId}/topics/${names.topic}`);
  assert.equal(settings.ackDeadlineSeconds, 60);
  assert.equal(settings.expirationPolicy?.ttl ?? null, null);
  assert.equal(Number(settings.messageRetentionDuration?.seconds), 7 * 24 * 3600);
  assert.equal(settings.deadLetterPolicy ?? null, null);
  const [audit] = await pubsub.subscription(names.deadLetterSubscription).getMetadata();
  assert.equal(audit.topic, `projects/${projectId}/topics/${names.deadLetterTopic}`);

  await pubsub.subscription(names.subscription).delete();
  assert.deepEqual(await declare(pubsub), [names.subscription]);
  await pubsub.close();
});

test('refuses a subscription whose topic was made anew', needs('googleEmulator'), async () => {
  await using broker = await startGoogleEmulator();
  const pubsub = connect(broker.host);
  await declare(pubsub);
  await pubsub.topic(names.topic).delete();
  await assert.rejects(declare(pubsub), /^StartError: Subscription writes-writer belongs to _deleted-topic_/);
  await pubsub.close();
});

test('waits alone for a broker that is not there yet', needs('googleEmulator'), async () => {
  await using broker = await startGoogleEmulator();
  await broker.stop();
  await using alone = await startAlone({ PUBSUB_EMULATOR_HOST: broker.host });
  assert.match(alone.output(), /^Waiting for 127\.0\.0\.1:/);
  await broker.restart();
  assert.equal(await alone.exited(), 0);
  assert.match(alone.output(), new RegExp(`declared ${everything.join(', ')}\n$`));
});

test('does not wait for a broker any longer at a SIGTERM', async () => {
  const port = await findFreePort();
  await using alone = await startAlone({ PUBSUB_EMULATOR_HOST: `127.0.0.1:${port}` });
  assert.match(alone.output(), /^Waiting for 127\.0\.0\.1:/);
  await alone.stop();
  assert.equal(await alone.exited(), 130);
});

test('declares again for a broker that came back empty', async () => {
  await using broker = await startEmulator('{}');
  const project = sharedVariables.PUBSUB_PROJECT_ID.parse(undefined);
  const env = { PUBSUB_EMULATOR_HOST: broker.host, PUBSUB_PROJECT_ID: project };
  await using alone = await startAlone(env, '--watch');
  assert.match(alone.output(), new RegExp(`declared ${everything.join(', ')}\n$`));
  const pubsub = connect(broker.host, project);
  await pubsub.subscription(names.subscription).delete();
  await pubsub.close();
  await until(
    async () => alone.output(),
    (output) => output.includes(`came back empty; declared ${names.subscription} again`),
  );
  await alone.stop();
  assert.equal(await alone.exited(), 0);
});

test('names a bad variable when it runs alone', async () => {
  const port = await findFreePort();
  const alone = await startAlone({ PUBSUB_EMULATOR_HOST: `http://127.0.0.1:${port}` });
  assert.equal(await alone.exited(), 2);
  assert.match(alone.output(), /PUBSUB_EMULATOR_HOST: wants host:port/);
});
