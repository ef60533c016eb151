import assert from 'node:assert/strict';
import { test } from 'node:test';
import { names } from '@assessment/api/names';
import { createPubSub } from '@assessment/api/pubsub';
import { createLink } from '../../stress-test/chaos/link.ts';
import { startGoogleEmulator } from '../../test/parts.ts';
import { needs } from '../../test/programs.ts';
import { until } from '../../test/until.ts';
import { createSubscriber } from '../src/subscriber.ts';

/** A tenth of the real times. What the server permits does not depend on them: it counts. */
const keepalive = { timeMs: 1_000, timeoutMs: 5_000 };
const askIntervalMs = 1_500;

/** What a client of HTTP/2 begins with, and its frames: 3 bytes of length, the type, 5 bytes more. RFC 9113, 3.4 and 4.1. */
const prefaceBytes = 24;
const headBytes = 9;
const pingType = 6;

async function* frameTypes(
  chunks: AsyncIterable<Buffer>,
): AsyncGenerator<[type: number | undefined, Buffer]> {
  let rest: Buffer = Buffer.alloc(0);
  let skipBytes = prefaceBytes;
  for await (const chunk of chunks) {
    rest = Buffer.concat([rest, chunk]);
    let type: number | undefined;
    while (rest.length >= skipBytes + headBytes) {
      rest = rest.subarray(skipBytes);
      type = rest[3] === pingType ? pingType : type;
      skipBytes = headBytes + rest.readUIntBE(0, 3);
    }
    yield [type, chunk];
  }
}

test("Google's emulator keeps the connection of a stream without messages, however often it is pinged", {
  ...needs('googleEmulator'),
}, async () => {
  await using broker = await startGoogleEmulator();
  let connections = 0;
  let pings = 0;
  const link = await createLink(Number(broker.host.split(':')[1]), {
    interpose() {
      connections++;
      return {
        async *toServer(chunks) {
          for await (const [type, chunk] of frameTypes(chunks)) {
            if (type === pingType) pings++;
            yield chunk;
          }
        },
        toClient: (chunks) => chunks,
      };
    },
  });
  const host = `127.0.0.1:${link.port}`;
  process.env.PUBSUB_EMULATOR_HOST = host;
  const pubsub = createPubSub(
    { PUBSUB_PROJECT_ID: 'assessment-project', PUBSUB_EMULATOR_HOST: host },
    keepalive,
  );
  const errors: Error[] = [];
  const subscriber = createSubscriber(pubsub, names.subscription, {
    ...{ leasedMessagesMax: 1, leasedBytesMax: 1_000_000, drainTimeoutMs: 1_000, askIntervalMs },
    onMessage: (message) => message.ack(),
    untilSettled: async () => {},
    onError: (error) => errors.push(error),
  });
  try {
    // It closes the connection at the third ping since it last sent something.
    await until(() => pings >= 10 || connections > 1);
    assert.equal(connections, 1);
    assert.deepEqual(errors, []);
  } finally {
    await subscriber.close();
    await pubsub.close();
    await link.close();
  }
});
