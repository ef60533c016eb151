/**
 * Declares the contract's topics and subscriptions. Doing it again changes nothing, so it is done at every
 * start of a broker: Google's emulator forgets them when it ends.
 *
 * Alone, `node local/declare.ts --help` says how.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { readEnvironment, sharedVariables } from '@assessment/api/environment';
import { names } from '@assessment/api/names';
import { createPubSub } from '@assessment/api/pubsub';
import type { PubSub } from '@google-cloud/pubsub';
import { z } from 'zod';
import { exitCodes, runCommand } from '../command-line/command.ts';
import { parseFlags } from '../command-line/flags.ts';
import { reasonOf } from '../command-line/reason.ts';
import { StartError } from './start-error.ts';

/** For whoever pulls without asking for leases of another length; the writer's stream asks for 10 s and extends them. */
const ackDeadlineSeconds = 60;

/** The longest of the real Pub/Sub, then the longest of Google's emulator 0.8.20, which refuses that. */
const retentionsDays = [31, 7] as const;

const callTimeoutMs = 5_000;
const retryPauseMs = 200;

/** Alone: a Job that has not reached its broker by then ends with 1 and is started again. */
const patienceMs = 120_000;

/** gRPC status codes, https://grpc.io/docs/guides/status-codes/ */
const invalidArgument = 3;
const alreadyExists = 6;

/** That a later try may pass: the broker is starting, away or slow, or has not yet seen its own new topic. */
const passingCodes: ReadonlySet<unknown> = new Set([
  1, // CANCELLED
  4, // DEADLINE_EXCEEDED
  5, // NOT_FOUND
  8, // RESOURCE_EXHAUSTED
  10, // ABORTED
  13, // INTERNAL
  14, // UNAVAILABLE
]);

/**
 * One try. Resolves with the names that were not there before.
 * @throws StartError for a subscription that hangs on another topic; else the broker's error.
 */
export async function declare(pubsub: PubSub): Promise<string[]> {
  const created: string[] = [];
  // What is published between the two halves of a pair is confirmed and goes nowhere, so the pair that
  // api publishes to comes last, when connection and code are warm, and its halves follow at once.
  const pairs = [
    [names.deadLetterTopic, names.deadLetterSubscription],
    [names.topic, names.subscription],
  ] as const;
  for (const [topic, subscription] of pairs) {
    const isNewTopic = await create(() => pubsub.createTopic(topic, callOptions));
    if (isNewTopic) created.push(topic);
    if (await createSubscription(pubsub, topic, subscription)) created.push(subscription);
    else await checkTopic(pubsub, topic, subscription);
  }
  return created;
}

/** Tries until the broker answers. @throws the last error once it is one that stays, or after `timeoutMs`. */
export async function declareWhenAnswered(
  pubsub: PubSub,
  options: { timeoutMs: number; onWaiting?: (error: unknown) => void; signal?: AbortSignal },
): Promise<string[]> {
  const deadline = performance.now() + options.timeoutMs;
  for (;;) {
    try {
      return await declare(pubsub);
    } catch (error) {
      if (!passingCodes.has(codeOf(error)) || performance.now() > deadline) throw error;
      options.onWaiting?.(error);
      await pause(retryPauseMs, undefined, options.signal ? { signal: options.signal } : {});
    }
  }
}

/** How long a broker may be without topics after it restarted empty. */
const watchIntervalMs = 2_000;

/** Declares again whatever is missing, until `signal` is aborted. While the broker is away, api and writer say so. */
export async function watch(
  pubsub: PubSub,
  options: { signal: AbortSignal; onDeclared: (created: string[]) => void },
): Promise<void> {
  const { signal, onDeclared } = options;
  while (!signal.aborted) {
    await pause(watchIntervalMs, undefined, { signal }).catch(() => {});
    if (signal.aborted) return;
    const created = await declare(pubsub).catch(() => []);
    if (created.length > 0) onDeclared(created);
  }
}

/** No retries inside a call: the caller tries again as a whole. */
const callOptions = { timeout: callTimeoutMs, retry: null };

async function createSubscription(pubsub: PubSub, topic: string, subscription: string): Promise<boolean> {
  for (const [tries, days] of retentionsDays.entries()) {
    try {
      return await create(() =>
        pubsub.createSubscription(topic, subscription, {
          ackDeadlineSeconds,
          // Without a time to live: it never expires, however long nobody pulls.
          expirationPolicy: {},
          messageRetentionDuration: { seconds: days * 24 * 3600 },
          gaxOpts: callOptions,
        }),
      );
    } catch (error) {
      if (codeOf(error) !== invalidArgument || tries === retentionsDays.length - 1) throw error;
    }
  }
  return false;
}

/** After a topic was deleted and made anew its subscriptions get nothing: publishes would be lost in silence. */
async function checkTopic(pubsub: PubSub, topic: string, subscription: string): Promise<void> {
  const [metadata] = await pubsub.subscription(subscription).getMetadata(callOptions);
  const wanted = `projects/${pubsub.projectId}/topics/${topic}`;
  if (metadata.topic === wanted) return;
  throw new StartError(
    `Subscription ${subscription} belongs to ${metadata.topic}, not to ${wanted}, so it would get nothing.\n` +
      'Pull what it still holds, delete it, and declare again.',
  );
}

async function create(call: () => Promise<unknown>): Promise<boolean> {
  try {
    await call();
    return true;
  } catch (error) {
    if (codeOf(error) === alreadyExists) return false;
    throw error;
  }
}

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown } | undefined)?.code;
}

/** Aborted by SIGTERM and SIGINT, which the first process of a container would not even hear otherwise. */
function stopSignal(): AbortSignal {
  const stopping = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stopping.abort());
  return stopping.signal;
}

const help = `Declares topics and subscriptions, once the broker answers; what is there stays as it is.

  node local/declare.ts [--watch]

  --watch   goes on beside an emulator that forgets, until SIGTERM or Ctrl-C
  --help    this text

PUBSUB_EMULATOR_HOST names the broker as host:port; unset, it is the real Pub/Sub, where it needs the right to create
topics, which api and writer do not. PUBSUB_PROJECT_ID is its project, default assessment-project.
Exit code: 0 all is declared, 1 it could not be, 2 bad usage or a bad variable,
130 stopped by Ctrl-C or SIGTERM before that.

Examples:
  PUBSUB_EMULATOR_HOST=127.0.0.1:8085 node local/declare.ts
  PUBSUB_EMULATOR_HOST=127.0.0.1:8085 node local/declare.ts --watch
`;

const flags = { watch: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } } as const;

/** @throws BadUsage */
function readOptions(args: string[]): { isWatching: boolean } | 'help' {
  const { values } = parseFlags(args, flags);
  return values.help ? 'help' : { isWatching: values.watch ?? false };
}

async function run({ isWatching }: { isWatching: boolean }): Promise<number> {
  const { PUBSUB_EMULATOR_HOST, PUBSUB_PROJECT_ID } = sharedVariables;
  const config = readEnvironment(z.object({ PUBSUB_EMULATOR_HOST, PUBSUB_PROJECT_ID }), process.env);
  const where = config.PUBSUB_EMULATOR_HOST ?? 'the real Pub/Sub';
  const pubsub = createPubSub(config);
  const signal = stopSignal();
  let isWaiting = false;
  try {
    const created = await declareWhenAnswered(pubsub, {
      timeoutMs: patienceMs,
      signal,
      onWaiting(error) {
        if (!isWaiting) console.log(`Waiting for ${where}: ${reasonOf(error)}`);
        isWaiting = true;
      },
    });
    const done = created.length > 0 ? `declared ${created.join(', ')}` : 'all was declared already';
    console.log(`${config.PUBSUB_PROJECT_ID} on ${where}: ${done}`);
    if (isWatching) {
      await watch(pubsub, {
        signal,
        onDeclared: (again) => console.log(`${where} came back empty; declared ${again.join(', ')} again`),
      });
    }
    return exitCodes.passed;
  } catch (error) {
    if (signal.aborted) return exitCodes.interrupted;
    console.error(error instanceof StartError ? error.message : `${where}: ${reasonOf(error)}`);
    return exitCodes.failed;
  } finally {
    await pubsub.close();
  }
}

if (import.meta.main) {
  await runCommand({
    command: 'node local/declare.ts',
    help,
    read: () => readOptions(process.argv.slice(2)),
    run,
  });
}
