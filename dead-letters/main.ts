/** Lists, shows, replays and drops dead letters. `npm run dead-letters -- --help` says how. */
import { InvalidEnvironment, readEnvironment, sharedVariables } from '@assessment/api/environment';
import { names } from '@assessment/api/names';
import { createPubSub, openTopic } from '@assessment/api/pubsub';
import type { PubSub } from '@google-cloud/pubsub';
import { z } from 'zod';
import { formatCount } from '../command-line/count.ts';
import { BadUsage, hintOf } from '../command-line/flags.ts';
import { endProgress, showProgress } from '../command-line/progress.ts';
import { interruptedExitCode, onStopSignals } from '../command-line/stop-signals.ts';
import { reasonOf } from '../local/start-error.ts';
import { type Done, drop, find, list, replay } from './commands.ts';
import { type Leases, openLeases } from './leases.ts';
import type { Letter } from './letter.ts';
import { type DeadLettersOptions, help, readOptions } from './options.ts';
import { formatDone, formatLetter, formatListing } from './report.ts';

const exitCodes = { done: 0, notAll: 1, nothing: 2, interrupted: interruptedExitCode } as const;

/** As the writer's, for a letter: the client tries for so long before it gives up. */
const publishTimeoutMs = 10_000;

const waitMs = { emulator: 1_000, real: 5_000 } as const;

/** What leaves no doubt that the broker was not reached, or has not what is asked for. */
class NoBroker extends Error {
  override name = 'NoBroker';
}

async function run(
  { command, isJson, ...options }: DeadLettersOptions,
  signal: AbortSignal,
): Promise<number> {
  const { PUBSUB_EMULATOR_HOST, PUBSUB_PROJECT_ID } = sharedVariables;
  const config = readEnvironment(z.object({ PUBSUB_EMULATOR_HOST, PUBSUB_PROJECT_ID }), process.env);
  const where = config.PUBSUB_EMULATOR_HOST ?? 'the real Pub/Sub';
  const pubsub = createPubSub(config);
  let leases: Leases | undefined;
  try {
    leases = await openLeases(pubsub, {
      waitMs: options.waitMs ?? (config.PUBSUB_EMULATOR_HOST ? waitMs.emulator : waitMs.real),
      signal,
    }).catch((cause) => {
      throw new NoBroker(describeFailure(cause, where), { cause });
    });
    const exitCode = await carryOut(command, { leases, pubsub, isJson });
    return signal.aborted ? exitCodes.interrupted : exitCode;
  } finally {
    endProgress();
    // A broker that is away gives the letters back by itself, when their leases have run out.
    await leases?.close().catch(() => {});
    await pubsub.close();
  }
}

async function carryOut(
  command: DeadLettersOptions['command'],
  { leases, pubsub, isJson }: { leases: Leases; pubsub: PubSub; isJson: boolean },
): Promise<number> {
  const progress = (verb: string) => (letters: number) => showProgress(`${formatCount(letters)} ${verb}`);
  const print = (text: string) => {
    endProgress();
    process.stdout.write(text);
  };
  if (command.name === 'list') {
    print(formatListing(await list(leases, command.limit, progress('letters')), isJson));
    return exitCodes.done;
  }
  if (command.name === 'show') {
    const letter = await find(leases, command.id, progress('letters looked at'));
    if (!letter) throw new BadUsage(`${command.id}: no such dead letter`);
    print(formatLetter(letter, isJson));
    return exitCodes.done;
  }
  const done =
    command.name === 'replay'
      ? await replay(leases, command, publisherTo(pubsub), progress('replayed'))
      : await drop(leases, command, progress('dropped'));
  print(formatDone(command.name, done, isJson));
  return isAllDone(done) ? exitCodes.done : exitCodes.notAll;
}

function publisherTo(pubsub: PubSub): (letter: Letter) => Promise<string> {
  const topic = openTopic(pubsub, names.topic, { timeoutMs: publishTimeoutMs });
  return ({ data, attributes: { requestIds } }) => {
    // The requests keep their ids in the logs.
    return topic.publishMessage({ data, ...(requestIds && { attributes: { requestIds } }) });
  };
}

function isAllDone({ missing, failed, cameBack, brokenOff }: Done): boolean {
  return missing.length + failed.length + cameBack === 0 && brokenOff === undefined;
}

function describeFailure(error: unknown, where: string): string {
  const { code } = error as { code?: number };
  if (code === 5) {
    return `${where} has no subscription ${names.deadLetterSubscription}; node local/declare.ts declares it`;
  }
  return `${where} does not answer: ${reasonOf(error)}`;
}

const stopping = new AbortController();
onStopSignals({ onFirst: () => stopping.abort() });
try {
  const options = readOptions(process.argv.slice(2));
  if (options === 'help') process.stdout.write(help);
  else process.exitCode = await run(options, stopping.signal);
} catch (error) {
  const isExpected = [BadUsage, NoBroker, InvalidEnvironment].some((kind) => error instanceof kind);
  // A broker that went away in the middle: what was done is done, the rest is as it was.
  console.error(isExpected ? (error as Error).message : `Broken off: ${reasonOf(error)}`);
  if (error instanceof BadUsage) console.error(hintOf('npm run dead-letters --'));
  process.exitCode = isExpected ? exitCodes.nothing : exitCodes.notAll;
}
