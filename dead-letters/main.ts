/** Lists, shows, replays and drops dead letters. `npm run dead-letters -- --help` says how. */
import { readEnvironment, sharedVariables } from '@assessment/api/environment';
import { names } from '@assessment/api/names';
import { createPubSub, openTopic } from '@assessment/api/pubsub';
import type { PubSub } from '@google-cloud/pubsub';
import { z } from 'zod';
import { CannotRun } from '../command-line/cannot-run.ts';
import { exitCodes, runCommand } from '../command-line/command.ts';
import { formatCount } from '../command-line/count.ts';
import { BadUsage } from '../command-line/flags.ts';
import { endProgress, showProgress } from '../command-line/progress.ts';
import { reasonOf } from '../command-line/reason.ts';
import { onStopSignals } from '../command-line/stop-signals.ts';
import { type Done, drop, find, list, replay } from './commands.ts';
import { type Leases, openLeases } from './leases.ts';
import type { Letter } from './letter.ts';
import { type DeadLettersOptions, help, lettersMax, readOptions } from './options.ts';
import { formatDone, formatLetter, formatListing } from './report.ts';

/** As the writer's, for a letter: the client tries for so long before it gives up. */
const publishTimeoutMs = 10_000;

const waitMs = { emulator: 1_000, real: 5_000 } as const;

async function run({ command, isJson, ...options }: DeadLettersOptions): Promise<number> {
  const stopping = new AbortController();
  onStopSignals({ onFirst: () => stopping.abort() });
  const { PUBSUB_EMULATOR_HOST, PUBSUB_PROJECT_ID } = sharedVariables;
  const config = readEnvironment(z.object({ PUBSUB_EMULATOR_HOST, PUBSUB_PROJECT_ID }), process.env);
  const where = config.PUBSUB_EMULATOR_HOST ?? 'the real Pub/Sub';
  const pubsub = createPubSub(config);
  let leases: Leases | undefined;
  try {
    leases = await openLeases(pubsub, {
      waitMs: options.waitMs ?? (config.PUBSUB_EMULATOR_HOST ? waitMs.emulator : waitMs.real),
      lettersMax,
      signal: stopping.signal,
    }).catch((cause) => {
      throw new CannotRun(describeFailure(cause, where), { cause });
    });
    const exitCode = await carryOut(command, { leases, pubsub, isJson });
    return stopping.signal.aborted ? exitCodes.interrupted : exitCode;
  } catch (error) {
    if (error instanceof CannotRun) throw error;
    // By Ctrl-C, for want of room, or by a broker that went away: what was done is done, the rest is as it was.
    endProgress();
    console.error(`Broken off: ${reasonOf(error)}`);
    return stopping.signal.aborted ? exitCodes.interrupted : exitCodes.failed;
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
    return exitCodes.passed;
  }
  if (command.name === 'show') {
    const letter = await find(leases, command.id, progress('letters looked at'));
    if (!letter) throw new BadUsage(`${command.id}: no such dead letter`);
    print(formatLetter(letter, isJson));
    return exitCodes.passed;
  }
  const done =
    command.name === 'replay'
      ? await replay(leases, command, publisherTo(pubsub), progress('replayed'))
      : await drop(leases, command, progress('dropped'));
  print(formatDone(command.name, done, isJson));
  return isAllDone(done) ? exitCodes.passed : exitCodes.failed;
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

await runCommand({
  command: 'npm run dead-letters --',
  help,
  read: () => readOptions(process.argv.slice(2)),
  run,
});
