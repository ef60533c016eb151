/**
 * The official client in a process of its own, driven over IPC: what it costs is not the emulator's, and not that of the
 * process that looks at the clock.
 */
import { once } from 'node:events';
import { type Message, PubSub } from '@google-cloud/pubsub';

export interface Order {
  kind: 'publish' | 'deliver';
  /** Topic or subscription. */
  name: string;
  count: number;
  bytes: number;
}

export interface Outcome {
  ms: number;
}

const perPublish = 1_000;
/** Batches that are filled at the same time. */
const lanes = 4;

const client = new PubSub({
  projectId: 'bench',
  apiEndpoint: process.env.PUBSUB_EMULATOR_HOST ?? '',
  emulatorMode: true,
});

async function publish({ name, count, bytes }: Order): Promise<void> {
  const batching = { maxMessages: perPublish, maxMilliseconds: 50, maxBytes: 9 * 1024 * 1024 };
  const topic = client.topic(name, { batching });
  const data = Buffer.alloc(bytes, 'x');
  let left = count / perPublish;
  await Promise.all(
    Array.from({ length: lanes }, async () => {
      while (left-- > 0) {
        await Promise.all(Array.from({ length: perPublish }, () => topic.publishMessage({ data })));
      }
    }),
  );
}

/** @returns ms until the last message came; the acks are flushed after that. */
async function deliver({ name, count }: Order): Promise<number> {
  const start = performance.now();
  let ms = 0;
  let received = 0;
  const finished = Promise.withResolvers<void>();
  const subscription = client.subscription(name, { flowControl: { maxMessages: 10_000 } });
  subscription.on('error', finished.reject);
  subscription.on('message', (message: Message) => {
    message.ack();
    if (++received < count) return;
    ms = performance.now() - start;
    finished.resolve();
  });
  await finished.promise;
  subscription.close();
  await once(subscription, 'close');
  subscription.removeAllListeners();
  return ms;
}

process.on('message', async (order: Order) => {
  const start = performance.now();
  const ms = order.kind === 'publish' ? await publish(order) : await deliver(order);
  process.send?.({ ms: ms ?? performance.now() - start } satisfies Outcome);
});
process.on('disconnect', () => process.exit(0));
