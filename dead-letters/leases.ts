/**
 * Reads the subscription `writes-dead-letter-audit` without taking anything away.
 *
 * Pub/Sub has no way to look at a message without leasing it. So every letter that is read is leased, once, and the
 * lease is kept until the command is done with it: a letter given back earlier would come again at once, and hide
 * those behind it. Then it is acknowledged, or given back by `close` (a nack: an ack deadline of 0), after which
 * it is there as before; the subscription has no dead-letter policy, so nobody counts deliveries. When this process
 * dies, its leases run out by themselves.
 *
 * Memory: of a letter that is held only its ids; its data is the caller's, for as long as the caller wants it.
 */
import { names } from '@assessment/api/names';
import { type PubSub, type protos, v1 } from '@google-cloud/pubsub';
import { formatCount } from '../command-line/count.ts';
import type { Letter } from './letter.ts';

export interface LeasesOptions {
  /** The end is reached when no new letter has come for so long. */
  waitMs: number;
  /** Letters that are held at once. */
  lettersMax: number;
  /** Ends the reading, after the letters that are read already. */
  signal: AbortSignal;
}

/** Why the reading ended before the end: there may be letters that nobody has looked at. */
export class CutShort extends Error {
  override name = 'CutShort';
}

export interface Leases {
  /**
   * All letters, each once, as the broker hands them out.
   * @throws CutShort when it was stopped, or no more can be held; the broker's error.
   */
  read(): AsyncGenerator<Letter[], void>;
  /** Resolves when the broker has taken it. @throws the broker's error; the letter is then still held. */
  acknowledge(letters: Letter[]): Promise<void>;
  heldCount(): number;
  /** Gives back what is still held. */
  close(): Promise<void>;
}

/** A command that dies hides letters for this long at most; extended three times within it. */
const leaseSeconds = 30;
const extendIntervalMs = (leaseSeconds * 1_000) / 3;

const callTimeoutMs = 5_000;

/** The project's emulator answers a pull this long before the client's deadline, as Google's does. */
const answerMarginMs = 1_000;

/** Of one pull that waits: Ctrl-C is heeded between them. */
const pullMsMax = 2_000;

/** Of one response; of large letters a broker sends fewer. */
const pullLettersMax = 100;

/** An ack id has about 200 bytes, and a request may have 512 KiB. */
const idsPerRequest = 1_000;

/** gRPC status codes, https://grpc.io/docs/guides/status-codes/ */
const deadlineExceeded = 4;
const permissionDenied = 7;

/** No retries inside a call: nothing is lost by one that fails, and its reason is told at once. */
const callOptions = { timeout: callTimeoutMs, maxRetries: 0 };

/** @throws the broker's error when it does not answer, or has no such subscription. */
export async function openLeases(pubsub: PubSub, options: LeasesOptions): Promise<Leases> {
  type ClientOptions = ConstructorParameters<typeof v1.SubscriberClient>[0];
  const client = new v1.SubscriberClient((await pubsub.getClientConfig()) as ClientOptions);
  const subscription = `projects/${pubsub.projectId}/subscriptions/${names.deadLetterSubscription}`;
  const held = new Map<string, string>();
  let extendFailure: unknown;

  /** A pull in vain looks the same whether there are no letters or no broker; this does not. */
  async function checkBroker(): Promise<void> {
    await client.getSubscription({ subscription }, callOptions).catch((error) => {
      if (error.code !== permissionDenied) throw error;
    });
  }

  await checkBroker().catch(async (error) => {
    await client.close();
    throw error;
  });

  async function modifyDeadlines(seconds: number): Promise<void> {
    for (const ackIds of chunks([...held.values()])) {
      await client.modifyAckDeadline({ subscription, ackIds, ackDeadlineSeconds: seconds }, callOptions);
    }
  }

  const extending = setInterval(() => {
    modifyDeadlines(leaseSeconds).catch((error) => {
      extendFailure = error;
    });
  }, extendIntervalMs);

  async function pull(timeoutMs: number, maxMessages: number): Promise<Letter[]> {
    const pullOptions = { timeout: timeoutMs + answerMarginMs, maxRetries: 0 };
    const [{ receivedMessages }] = await client
      .pull({ subscription, maxMessages }, pullOptions)
      .catch((error): [{ receivedMessages?: never[] }] => {
        if (error.code === deadlineExceeded) return [{}];
        throw error;
      });
    const letters: Letter[] = [];
    const ackIds: string[] = [];
    for (const { ackId, message } of receivedMessages ?? []) {
      if (!ackId || !message?.messageId) continue;
      ackIds.push(ackId);
      const isNew = !held.has(message.messageId);
      // Of one that is not, the lease had run out; the new one is as good.
      held.set(message.messageId, ackId);
      if (isNew) letters.push(toLetter(message.messageId, message));
    }
    if (ackIds.length > 0) {
      await client.modifyAckDeadline({ subscription, ackIds, ackDeadlineSeconds: leaseSeconds }, callOptions);
    }
    return letters;
  }

  return {
    async *read() {
      let lastAt = performance.now();
      for (;;) {
        if (options.signal.aborted) throw new CutShort('stopped');
        const room = options.lettersMax - held.size;
        if (room <= 0) {
          throw new CutShort(`${formatCount(held.size)} letters are leased, and no more can be at once`);
        }
        if (extendFailure) throw extendFailure;
        const leftMs = lastAt + options.waitMs - performance.now();
        if (leftMs <= 0) return checkBroker();
        const letters = await pull(Math.min(leftMs, pullMsMax), Math.min(room, pullLettersMax));
        if (letters.length === 0) continue;
        yield letters;
        lastAt = performance.now();
      }
    },
    async acknowledge(letters) {
      const ids = letters.map(({ id }) => id).filter((id) => held.has(id));
      for (const chunk of chunks(ids)) {
        const ackIds = chunk.map((id) => held.get(id) ?? '');
        await client.acknowledge({ subscription, ackIds }, callOptions);
        for (const id of chunk) held.delete(id);
      }
    },
    heldCount: () => held.size,
    async close() {
      clearInterval(extending);
      try {
        await modifyDeadlines(0);
      } finally {
        held.clear();
        await client.close();
      }
    },
  };
}

function toLetter(id: string, message: protos.google.pubsub.v1.IPubsubMessage): Letter {
  const { seconds, nanos } = message.publishTime ?? {};
  return {
    id,
    publishTime: new Date(Number(seconds ?? 0) * 1_000 + Math.floor((nanos ?? 0) / 1_000_000)),
    attributes: message.attributes ?? {},
    data: Buffer.from((message.data as Uint8Array | undefined) ?? []),
  };
}

function* chunks(ids: string[]): Generator<string[]> {
  for (let start = 0; start < ids.length; start += idsPerRequest)
    yield ids.slice(start, start + idsPerRequest);
}
