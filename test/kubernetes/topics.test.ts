import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { names } from '@assessment/api/environment';
import { createPubSub } from '@assessment/api/pubsub';
import { startEmulator } from '../parts.ts';
import { startProcess } from '../process.ts';
import { containerOf, environmentOf, find, root } from './manifests.ts';

test("the emulator's own declaration and the Job's program make the same topics and subscriptions", async () => {
  const { EMULATOR_DECLARE, PUBSUB_PROJECT_ID } = environmentOf(find('StatefulSet', 'pubsub-emulator'));
  assert.ok(EMULATOR_DECLARE && PUBSUB_PROJECT_ID);
  await using declared = await startEmulator(EMULATOR_DECLARE);
  await using empty = await startEmulator('{}');

  async function runProgram(host: string): Promise<string> {
    await using program = await startProcess({
      command: process.execPath,
      args: containerOf(find('Job', 'declare-topics')).args.map((file: string) => join(root, file)),
      env: { ...environmentOf(find('Job', 'declare-topics')), PUBSUB_EMULATOR_HOST: host },
      ready: /\n/,
    });
    assert.equal(await program.exited(), 0);
    return program.output();
  }
  assert.match(await runProgram(declared.host), /all was declared already/);
  assert.match(await runProgram(empty.host), /declared writes-dead-letter, .*, writes, writes-writer\n/);

  const settings = [];
  for (const { host } of [declared, empty]) {
    process.env.PUBSUB_EMULATOR_HOST = host;
    const pubsub = createPubSub({ PUBSUB_PROJECT_ID, PUBSUB_EMULATOR_HOST: host });
    const subscriptions = await Promise.all(
      [names.subscription, names.deadLetterSubscription].map((name) =>
        pubsub.subscription(name).getMetadata(),
      ),
    );
    settings.push(subscriptions.map(([metadata]) => metadata));
    await pubsub.close();
  }
  const [byEmulator, byProgram] = settings;
  assert.deepEqual(byEmulator, byProgram);
  const [writes] = byEmulator ?? [];
  assert.equal(writes?.topic, `projects/${PUBSUB_PROJECT_ID}/topics/${names.topic}`);
  assert.equal(writes?.ackDeadlineSeconds, 60);
  assert.equal(Number(writes?.messageRetentionDuration?.seconds), 31 * 24 * 3600);
  assert.equal(writes?.expirationPolicy?.ttl ?? null, null);
  assert.equal(writes?.deadLetterPolicy ?? null, null);
});
