/** The gcloud CLI, unmodified, with its endpoint override and without credentials. About half a second a command. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { createFolder } from '../../test/process.ts';
import { needs } from '../../test/programs.ts';
import { startEmulator } from './harness.ts';

const execute = promisify(execFile);
const project = 'gcloud-project';
const topic = `projects/${project}/topics/orders`;
const subscription = `projects/${project}/subscriptions/orders-writer`;

/** `gcloud` runs `gcloud pubsub …` and reads what it prints. */
async function setUp(context: TestContext) {
  const emulator = await startEmulator(context);
  const env = {
    ...process.env,
    CLOUDSDK_CONFIG: createFolder(),
    CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB: `http://127.0.0.1:${emulator.port}/`,
    CLOUDSDK_AUTH_DISABLE_CREDENTIALS: 'true',
    CLOUDSDK_CORE_DISABLE_PROMPTS: 'true',
    CLOUDSDK_CORE_DISABLE_USAGE_REPORTING: 'true',
    CLOUDSDK_CORE_PROJECT: project,
  };
  const gcloud = async (command: string) => {
    const args = ['pubsub', ...command.split(' '), '--format=json'];
    const { stdout } = await execute('gcloud', args, { env });
    return stdout.trim() === '' ? undefined : JSON.parse(stdout);
  };
  return { emulator, gcloud };
}

type Gcloud = Awaited<ReturnType<typeof setUp>>['gcloud'];

async function pull(gcloud: Gcloud): Promise<{ ackId: string; text: string }[]> {
  const received = await gcloud('subscriptions pull orders-writer --limit=10');
  return received.map(({ ackId, message }: { ackId: string; message: { data: string } }) => ({
    ackId,
    text: Buffer.from(message.data, 'base64').toString(),
  }));
}

test('serves gcloud: topics', needs('gcloud'), async (context) => {
  const { gcloud } = await setUp(context);
  await gcloud('topics create orders mails --labels=team=shop');
  await assert.rejects(gcloud('topics create orders'), /Topic already exists/);
  const shown = { name: topic, labels: { team: 'shop' }, state: 'ACTIVE' };
  assert.deepEqual(await gcloud('topics describe orders'), shown);
  // Two requests: the second with the token of the first.
  const listed = await gcloud('topics list --page-size=1');
  assert.deepEqual(
    listed.map(({ name }: { name: string }) => name),
    [`projects/${project}/topics/mails`, topic],
  );
  await gcloud('topics update orders --update-labels=team=mail --message-retention-duration=1d');
  assert.deepEqual(await gcloud('topics describe orders'), {
    ...shown,
    labels: { team: 'mail' },
    messageRetentionDuration: '86400s',
  });
  await gcloud('topics update orders --clear-labels --clear-message-retention-duration');
  assert.deepEqual(await gcloud('topics describe orders'), { name: topic, state: 'ACTIVE' });
  await gcloud('topics delete orders');
  await assert.rejects(gcloud('topics describe orders'), /NOT_FOUND: Resource not found/);
});

test('serves gcloud: subscriptions', needs('gcloud'), async (context) => {
  const { gcloud } = await setUp(context);
  await gcloud('topics create orders dead');
  const policies =
    '--dead-letter-topic=dead --max-delivery-attempts=6 --min-retry-delay=1s --max-retry-delay=2s';
  const settings = '--ack-deadline=20 --expiration-period=never --enable-message-ordering';
  await gcloud(`subscriptions create orders-writer --topic=orders ${settings} ${policies}`);
  const shown = {
    name: subscription,
    topic,
    ackDeadlineSeconds: 20,
    enableMessageOrdering: true,
    expirationPolicy: {},
    messageRetentionDuration: '604800s',
    pushConfig: {},
    state: 'ACTIVE',
  };
  assert.deepEqual(await gcloud('subscriptions describe orders-writer'), {
    ...shown,
    deadLetterPolicy: { deadLetterTopic: `projects/${project}/topics/dead`, maxDeliveryAttempts: 6 },
    retryPolicy: { minimumBackoff: '1s', maximumBackoff: '2s' },
  });
  const changes =
    '--ack-deadline=30 --update-labels=team=shop --clear-dead-letter-policy --clear-retry-policy';
  await gcloud(`subscriptions update orders-writer ${changes}`);
  const updated = { ...shown, ackDeadlineSeconds: 30, labels: { team: 'shop' } };
  assert.deepEqual(await gcloud('subscriptions list'), [updated]);
  assert.deepEqual(await gcloud('topics list-subscriptions orders'), [subscription]);
  await gcloud('topics detach-subscription orders-writer');
  assert.equal((await gcloud('subscriptions describe orders-writer')).detached, true);
  await gcloud('subscriptions delete orders-writer');
  await assert.rejects(gcloud('subscriptions describe orders-writer'), /NOT_FOUND: Resource not found/);
});

test('serves gcloud: messages, snapshots and seek', needs('gcloud'), async (context) => {
  const { emulator, gcloud } = await setUp(context);
  const unackedCount = () => emulator.broker.backlog()[0]?.unackedCount;
  await gcloud('topics create orders');
  await gcloud('subscriptions create orders-writer --topic=orders --retain-acked-messages');
  await gcloud('snapshots create before --subscription=orders-writer --labels=kind=test');
  const { messageIds } = await gcloud('topics publish orders --message=one --attribute=kind=test');
  assert.equal(messageIds.length, 1);
  const [first] = await pull(gcloud);
  assert.equal(first?.text, 'one');
  await gcloud(
    `subscriptions modify-message-ack-deadline orders-writer --ack-deadline=0 --ack-ids=${first?.ackId}`,
  );
  const [second] = await pull(gcloud);
  assert.equal(second?.text, 'one');
  await gcloud(`subscriptions ack orders-writer --ack-ids=${second?.ackId}`);
  assert.equal(unackedCount(), 0);
  const [snapshot] = await gcloud('snapshots list');
  assert.equal(snapshot.name, `projects/${project}/snapshots/before`);
  assert.deepEqual((await gcloud('snapshots describe before')).labels, { kind: 'test' });
  await gcloud('subscriptions seek orders-writer --snapshot=before');
  const pulled = await gcloud('subscriptions pull orders-writer --auto-ack');
  assert.deepEqual(
    [pulled[0].message.messageId, pulled[0].message.attributes],
    [messageIds[0], { kind: 'test' }],
  );
  assert.equal(unackedCount(), 0);
  await gcloud('subscriptions seek orders-writer --time=2020-01-01T00:00:00Z');
  assert.deepEqual(
    (await pull(gcloud)).map(({ text }) => text),
    ['one'],
  );
  await gcloud('snapshots delete before');
  assert.deepEqual(await gcloud('snapshots list'), []);
});
