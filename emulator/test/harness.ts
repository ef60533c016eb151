/** What the tests share: an emulator with a folder of its own, and the official client of it. */
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { type Message, PubSub, type Subscription } from '@google-cloud/pubsub';
import { createFolder } from '../../test/process.ts';
import { Broker, type BrokerOptions } from '../src/broker/broker.ts';
import { createEmulator, type Emulator, type EmulatorOptions } from '../src/emulator.ts';

process.env.METADATA_SERVER_DETECTION = 'none';

/** A broker alone, in segments so small that a few messages fill one. */
export function openBroker(folder: string, options: Partial<BrokerOptions> = {}): Promise<Broker> {
  return Broker.open({
    folder,
    durability: 'process',
    folderBytesMax: 1e9,
    segmentBytes: 16_384,
    onFatal: (error) => {
      throw error;
    },
    onWarning() {},
    ...options,
  });
}

export async function startEmulator(
  context: TestContext,
  options: Partial<EmulatorOptions> = {},
): Promise<Emulator> {
  const emulator = await createEmulator({ dataDir: options.dataDir ?? createFolder(), ...options });
  let isClosed = false;
  const { close } = emulator;
  emulator.close = async () => {
    if (isClosed) return;
    isClosed = true;
    await close();
  };
  context.after(() => emulator.close());
  return emulator;
}

export function createClient(context: TestContext, { port }: { port: number }): PubSub {
  const client = new PubSub({ projectId: 'project', apiEndpoint: `127.0.0.1:${port}`, emulatorMode: true });
  context.after(() => client.close());
  return client;
}

/** The next `count` messages of a subscription, which is then closed. */
export async function receive(
  subscription: Subscription,
  count: number,
  settle: (message: Message) => void = (message) => message.ack(),
): Promise<Message[]> {
  const messages: Message[] = [];
  const received = Promise.withResolvers<void>();
  subscription.on('message', (message: Message) => {
    messages.push(message);
    settle(message);
    if (messages.length >= count) received.resolve();
  });
  subscription.on('error', (error) => received.reject(error));
  await received.promise;
  subscription.close();
  await once(subscription, 'close');
  subscription.removeAllListeners();
  return messages;
}

export function texts(messages: { data: Buffer }[]): string[] {
  return messages.map(({ data }) => data.toString());
}
