/** Gives what is in the dead-letter topic back to the writer, as somebody would after mending what refused it. */
import { sharedVariables } from '@assessment/api/environment';
import { names } from '@assessment/api/names';
import { createPubSub } from '@assessment/api/pubsub';
import type { Message } from '@google-cloud/pubsub';

/** @returns how many, at least one: it waits for it. */
export async function replayDeadLetters({ host }: { host: string }): Promise<number> {
  // Where the client itself looks.
  process.env.PUBSUB_EMULATOR_HOST = host;
  const PUBSUB_PROJECT_ID = sharedVariables.PUBSUB_PROJECT_ID.parse(undefined);
  const pubsub = createPubSub({ PUBSUB_PROJECT_ID, PUBSUB_EMULATOR_HOST: host });
  const topic = pubsub.topic(names.topic, { batching: { maxMessages: 1 } });
  const subscription = pubsub.subscription(names.deadLetterSubscription);
  const { promise: replayed, resolve, reject } = Promise.withResolvers<number>();
  let count = 0;
  subscription.on('error', reject);
  subscription.on('message', async (message: Message) => {
    await topic.publishMessage({ data: message.data });
    message.ack();
    count++;
    resolve(count);
  });
  try {
    await replayed;
  } finally {
    await subscription.close();
    await pubsub.close();
  }
  return count;
}
