/** `npm run dead-letters` as a process, against the project's emulator and against Google's. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { createWrites, decodeEnvelope, encodeEnvelope } from '@assessment/api/envelope';
import { names } from '@assessment/api/names';
import { createPubSub } from '@assessment/api/pubsub';
import type { Message, PubSub } from '@google-cloud/pubsub';
import { createLink } from '../../stress-test/chaos/link.ts';
import { encodeDeepEnvelope } from '../../test/deep-envelope.ts';
import { type Broker, startEmulator, startGoogleEmulator } from '../../test/parts.ts';
import { findFreePort, pressCtrlC } from '../../test/process.ts';
import { needs } from '../../test/programs.ts';
import { until } from '../../test/until.ts';
import { drop, find, list } from '../commands.ts';
import { openLeases } from '../leases.ts';

const program = join(import.meta.dirname, '../main.ts');

for (const [what, start, options, isWhole] of [
  ["the project's emulator", startEmulator, {}, true],
  // Once more what depends on the broker.
  ["Google's emulator", startGoogleEmulator, needs('googleEmulator'), false],
] as const) {
  describe(`npm run dead-letters with ${what}`, options, () => {
    let broker: Broker;
    let pubsub: PubSub;

    before(async () => {
      broker = await start();
      process.env.PUBSUB_EMULATOR_HOST = broker.host;
      pubsub = createPubSub({ PUBSUB_PROJECT_ID: 'assessment-project', PUBSUB_EMULATOR_HOST: broker.host });
    });
    after(async () => {
      await pubsub.close();
      await broker.stop();
    });

    function launch(...args: string[]): ChildProcess {
      const env = { ...process.env, PUBSUB_EMULATOR_HOST: broker.host };
      return spawn(process.execPath, [program, ...args], { env });
    }

    async function run(...args: string[]) {
      const child = launch(...args);
      const [stdout, stderr, [exitCode]] = await Promise.all([
        text(child.stdout as NodeJS.ReadableStream),
        text(child.stderr as NodeJS.ReadableStream),
        once(child, 'close'),
      ]);
      return { stdout, stderr, exitCode };
    }

    async function runJson(...args: string[]) {
      const { stdout, stderr, exitCode } = await run(...args, '--json');
      return { ...JSON.parse(stdout || `{"stderr":${JSON.stringify(stderr)}}`), exitCode };
    }

    /** As the writer does. */
    function bury(data: Buffer, attributes: Record<string, string> = {}): Promise<string> {
      return pubsub
        .topic(names.deadLetterTopic)
        .publishMessage({ data, attributes: { reason: 'as the test wants', messageId: '0', ...attributes } });
    }

    async function buryEnvelopes(count: number): Promise<string[]> {
      return Promise.all(Array.from({ length: count }, () => bury(encodeEnvelope(createWrites(new Date())))));
    }

    const idsOf = ({ letters }: { letters: { id: string }[] }) => letters.map(({ id }) => id).sort();

    /** What `writes` holds, acknowledged as it is read. */
    async function readWrites(count: number): Promise<Message[]> {
      const subscription = pubsub.subscription(names.subscription);
      const received: Message[] = [];
      subscription.on('message', (message) => {
        received.push(message);
        message.ack();
      });
      await until(
        async () => received.length,
        (length) => length >= count,
      );
      await subscription.close();
      return received;
    }

    async function dropAll(): Promise<void> {
      await run('drop', '--all', '--yes');
    }

    test('list takes nothing away: the next one finds the same, in text and as JSON', async () => {
      assert.match((await run('list')).stdout, /^No dead letters\./);
      const ids = (await buryEnvelopes(150)).sort();
      const first = await runJson('list');
      assert.equal(first.exitCode, 0);
      assert.deepEqual(idsOf(first), ids);
      assert.deepEqual(idsOf(await runJson('list')), ids);
      const [letter] = first.letters;
      assert.equal(letter.writes, 5);
      assert.equal(letter.reason, 'as the test wants');
      assert.match(letter.publishTime, /^20\d\d-/);
      const { stdout } = await run('list');
      assert.match(stdout, /^ID +PUBLISHED +BYTES +WRITES +REASON\n/);
      assert.match(stdout, /\n150 dead letters\.\n$/);
      await dropAll();
      assert.match((await run('list')).stdout, /^No dead letters\./);
    });

    test('list broken off with Ctrl-C gives everything back, and exits 130', async () => {
      const ids = (await buryEnvelopes(2)).sort();
      const child = launch('list', '--wait', '10m');
      const exited = once(child, 'exit');
      await until(
        () => runJson('list'),
        ({ letters }) => letters.length === 0,
      );
      await pressCtrlC(child.pid as number);
      assert.deepEqual(await exited, [130, null]);
      assert.deepEqual(idsOf(await runJson('list')), ids);
      await dropAll();
    });

    test('replay publishes what was asked for as it was, and only that is gone', async () => {
      const writes = createWrites(new Date());
      const [id, others] = [
        await bury(encodeEnvelope(writes), { requestIds: 'a,b' }),
        await buryEnvelopes(3),
      ];
      const done = await runJson('replay', id, '999999');
      assert.deepEqual(done.ids, [id]);
      assert.deepEqual(done.missing, ['999999']);
      assert.equal(done.exitCode, 1);
      const [message] = await readWrites(1);
      assert.deepEqual(decodeEnvelope((message as Message).data), writes);
      assert.deepEqual(message?.attributes, { requestIds: 'a,b' });
      assert.deepEqual(idsOf(await runJson('list')), others.sort());
      assert.match((await run('replay', '--all')).stdout, /^3 replayed\.\n$/);
      await readWrites(3);
      assert.match((await run('list')).stdout, /^No dead letters\./);
    });

    test('replay --all ends although the writer cannot store them this time either', async () => {
      const subscription = pubsub.subscription(names.subscription);
      subscription.on('message', async (message) => {
        await bury(message.data, { messageId: message.id });
        message.ack();
      });
      await buryEnvelopes(20);
      const done = await runJson('replay', '--all', '--wait', '3s');
      assert.equal(done.ids.length, 20);
      assert.equal(done.cameBack, 20);
      assert.equal(done.exitCode, 1);
      await subscription.close();
      assert.equal(idsOf(await runJson('list')).length, 20);
      await dropAll();
    });

    test('drop takes away what was asked for, and all only with --yes', async () => {
      const [first, ...others] = await buryEnvelopes(3);
      assert.deepEqual((await runJson('drop', first as string)).ids, [first]);
      const refused = await run('drop', '--all');
      assert.equal(refused.exitCode, 2);
      assert.match(refused.stderr, /drop --all: wants --yes/);
      assert.deepEqual(idsOf(await runJson('list')), others.sort());
      await dropAll();
      assert.match((await run('list')).stdout, /^No dead letters\./);
    });

    if (!isWhole) return;

    for (const command of ['show', 'replay', 'drop']) {
      test(`${command} broken off with Ctrl-C does not say that what it looked for is not there, and exits 130`, async () => {
        const ids = (await buryEnvelopes(2)).sort();
        const child = launch(command, '999999', '--wait', '10m');
        const ended = Promise.all([
          text(child.stdout as NodeJS.ReadableStream),
          text(child.stderr as NodeJS.ReadableStream),
          once(child, 'close'),
        ]);
        await until(
          () => runJson('list'),
          ({ letters }) => letters.length === 0,
        );
        await pressCtrlC(child.pid as number);
        const [stdout, stderr, exit] = await ended;
        const done = { show: '', replay: '0 replayed.\n', drop: '0 dropped.\n' }[command];
        assert.equal(stdout + stderr, `${done}Broken off: stopped\n`);
        assert.deepEqual(exit, [130, null]);
        assert.deepEqual(idsOf(await runJson('list')), ids);
        await dropAll();
      });
    }

    test('where no more can be leased, what was not looked at is not taken for missing', async () => {
      const ids = await buryEnvelopes(3);
      const { signal } = new AbortController();
      const leases = await openLeases(pubsub, { waitMs: 1_000, lettersMax: 2, signal });
      try {
        const { letters, isCut } = await list(leases, 5, () => {});
        assert.deepEqual([letters.length, isCut], [2, true]);
        const reason = '2 letters are leased, and no more can be at once';
        await assert.rejects(
          find(leases, '999999', () => {}),
          { name: 'CutShort', message: reason },
        );
        const done = await drop(leases, { ids: new Set(['999999']) }, () => {});
        assert.deepEqual(done, { ids: [], missing: [], failed: [], cameBack: 0, brokenOff: reason });
      } finally {
        await leases.close();
      }
      assert.deepEqual(idsOf(await runJson('list')), ids.sort());
      await dropAll();
    });

    test('list says when there are more than it was asked for', async () => {
      await buryEnvelopes(3);
      const listed = await runJson('list', '--limit', '2');
      assert.equal(listed.letters.length, 2);
      assert.equal(listed.isCut, true);
      assert.match((await run('list', '--limit', '2')).stdout, /\nAt least 2 dead letters\.\n$/);
      assert.equal((await runJson('list', '--limit', '3')).isCut, false);
      await dropAll();
    });

    test('show prints the decoded envelope, or the bytes of what is none', async () => {
      const writes = createWrites(new Date());
      const id = await bury(encodeEnvelope(writes), { reason: 'steers \u001b[31m the terminal' });
      const other = await bury(Buffer.from('no envelope'));
      const { stdout } = await run('show', id);
      assert.match(stdout, /reason +steers \\u\{1b\}\[31m the terminal/);
      for (const { _id } of writes) assert.ok(stdout.includes(_id.toHexString()));
      const shown = await runJson('show', id);
      assert.deepEqual(decodeEnvelope(Buffer.from(shown.data, 'base64')), writes);
      assert.equal(shown.envelope.length, 5);
      const unreadable = await runJson('show', other);
      assert.equal(unreadable.envelope, null);
      assert.match(unreadable.problem, /not a BSON document/);
      assert.match(
        (await run('show', other)).stdout,
        /No envelope \(not a BSON document[\s\S]*bm8gZW52ZWxvcGU=/,
      );
      const deep = await bury(encodeDeepEnvelope(200_000));
      const shownDeep = await runJson('show', deep);
      assert.equal(shownDeep.envelope, null);
      assert.match(shownDeep.problem, /too deep to be printed/);
      assert.match(
        (await run('show', deep)).stdout,
        /too deep to be printed[\s\S]*The first 1,024 bytes in base64/,
      );
      const none = await run('show', '999999');
      assert.equal(none.exitCode, 2);
      assert.match(none.stderr, /^999999: no such dead letter/);
      assert.equal(idsOf(await runJson('list')).length, 3);
      await dropAll();
    });

    test('replay leaves a letter that the broker does not take, and one that is a part, where they are', async () => {
      const empty = await bury(Buffer.alloc(0));
      const part = await bury(Buffer.from('half'), { part: '1/2' });
      const done = await runJson('replay', '--all');
      assert.deepEqual(done.ids, []);
      const reasons = new Map(
        done.failed.map(({ id, reason }: { id: string; reason: string }) => [id, reason]),
      );
      assert.match(String(reasons.get(part)), /is a part/);
      assert.ok(reasons.has(empty));
      assert.equal(done.exitCode, 1);
      assert.deepEqual(idsOf(await runJson('list')), [empty, part].sort());
      await dropAll();
    });

    test('a connection that goes silent is not taken for the end', async (context) => {
      const [id] = await buryEnvelopes(1);
      const link = await createLink(Number(broker.host.split(':')[1]));
      context.after(link.close);
      const PUBSUB_EMULATOR_HOST = `127.0.0.1:${link.port}`;
      process.env.PUBSUB_EMULATOR_HOST = PUBSUB_EMULATOR_HOST;
      const linked = createPubSub({ PUBSUB_PROJECT_ID: 'assessment-project', PUBSUB_EMULATOR_HOST });
      const signal = AbortSignal.timeout(60_000);
      const leases = await openLeases(linked, { waitMs: 1_000, lettersMax: 10, signal });
      process.env.PUBSUB_EMULATOR_HOST = broker.host;
      const read = leases.read();
      const { value } = await read.next();
      assert.deepEqual(
        value?.map((letter) => letter.id),
        [id],
      );
      link.silence();
      await assert.rejects(read.next(), { code: 4 });
      await leases.close().catch(() => {});
      await linked.close();
      await dropAll();
    });

    test('a broker without the subscription, and none at all, are told and exit 2', async () => {
      await pubsub.subscription(names.deadLetterSubscription).delete();
      const gone = await run('list');
      assert.match(gone.stderr, /has no subscription writes-dead-letter-audit; node local\/declare\.ts/);
      assert.equal(gone.exitCode, 2);
      const port = await findFreePort();
      const child = spawn(process.execPath, [program, 'list'], {
        env: { ...process.env, PUBSUB_EMULATOR_HOST: `127.0.0.1:${port}` },
      });
      const [stderr, [exitCode]] = await Promise.all([text(child.stderr), once(child, 'close')]);
      assert.match(stderr, new RegExp(`127\\.0\\.0\\.1:${port} does not answer`));
      assert.equal(exitCode, 2);
    });
  });
}
