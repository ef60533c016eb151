/** The command line of `npm run dead-letters`. */
import { BadUsage, parseFlags, readTime, readWholeNumber } from '../command-line/flags.ts';

/** Letters that are leased at once: 30 MB of ids and attributes, and as many as the emulator leases. */
export const lettersMax = 100_000;

export const help = `Lists, shows, replays and drops what the writer could not store.

  npm run dead-letters -- list                   one line for each dead letter, with its reason
  npm run dead-letters -- show ID                all of one, its data decoded
  npm run dead-letters -- replay ID… | --all     publishes them to the topic writes once more: each is
                                                 acknowledged when the broker has confirmed it, not before
  npm run dead-letters -- drop ID… | --all --yes acknowledges them: they are gone for good

  --limit N     list: at most so many, 1 to ${lettersMax}; default 1000
  --wait TIME   the end is reached when no further letter has come for so long, 1s to 10m;
                default 1s with an emulator, 5s with the real Pub/Sub, which may be slow to hand out
  --json        prints what was found or done as JSON
  --help        this text

PUBSUB_EMULATOR_HOST names the broker as host:port; unset, it is the real Pub/Sub, with the credentials of gcloud
auth application-default login and the rights to consume writes-dead-letter-audit and to publish to writes.
PUBSUB_PROJECT_ID is its project, default assessment-project.

Reading takes nothing away: a letter is leased while a command runs and given back at its end, so two commands at
once each see a part. After one that was killed, letters are seen again when its leases of 30 s have run out.
A replayed letter that the writer cannot store comes back as a new one, and is not replayed again by the same command.
Replaying is safe to repeat: the ids of its documents were made before, so none is stored twice.

Exit code: 0 done, 1 not all of it done, 2 nothing was done (bad usage, or a broker that does not answer),
130 stopped by Ctrl-C or SIGTERM, which gives the letters back; a second one does not wait for that.

Examples:
  PUBSUB_EMULATOR_HOST=127.0.0.1:8085 npm run dead-letters -- list --limit 20
  npm run dead-letters -- replay --all --json
In a cluster:
  kubectl -n assessment port-forward service/pubsub-emulator 8085 &
  PUBSUB_EMULATOR_HOST=127.0.0.1:8085 npm run dead-letters -- list
`;

export interface Selection {
  /** Undefined for all. */
  ids: Set<string> | undefined;
}

type Command =
  | { name: 'list'; limit: number }
  | { name: 'show'; id: string }
  | ({ name: 'replay' | 'drop' } & Selection);

export interface DeadLettersOptions {
  command: Command;
  /** Undefined: as the broker wants it. */
  waitMs: number | undefined;
  isJson: boolean;
}

const flags = {
  all: { type: 'boolean' },
  yes: { type: 'boolean' },
  limit: { type: 'string' },
  wait: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

/** @throws BadUsage. */
export function readOptions(args: string[]): DeadLettersOptions | 'help' {
  const { values, positionals } = parseFlags(args, flags, { allowPositionals: true });
  if (values.help) return 'help';
  const [name, ...ids] = positionals;
  const wait = values.wait === undefined ? undefined : readTime('--wait', values.wait, '10m');
  return { command: readCommand(name, ids, values), waitMs: wait, isJson: values.json ?? false };
}

type Values = ReturnType<typeof parseFlags<typeof flags>>['values'];

function readCommand(name: string | undefined, ids: string[], values: Values): Command {
  refuseFlags(name, values);
  if (name === 'list') {
    if (ids.length > 0) throw new BadUsage(`list: takes no id, got ${ids[0]}`);
    return { name, limit: readWholeNumber('--limit', values.limit ?? '1000', 1, lettersMax) };
  }
  if (name === 'show') {
    const [id] = ids;
    if (id === undefined || ids.length > 1) throw new BadUsage('show: wants the id of one letter');
    return { name, id };
  }
  if (name === 'replay' || name === 'drop') {
    if (values.all ? ids.length > 0 : ids.length === 0) throw new BadUsage(`${name}: wants ids, or --all`);
    if (name === 'drop' && values.all && !values.yes) {
      throw new BadUsage('drop --all: wants --yes, because what it drops is gone for good');
    }
    return { name, ids: values.all ? undefined : new Set(ids) };
  }
  throw new BadUsage(
    `${name === undefined ? 'no command' : `${name}: no such command`}; wants list, show, replay or drop`,
  );
}

function refuseFlags(name: string | undefined, values: Values): void {
  const takers = { all: ['replay', 'drop'], yes: ['drop'], limit: ['list'] } as const;
  for (const [flag, names] of Object.entries(takers)) {
    const isGiven = values[flag as keyof typeof takers] !== undefined;
    if (isGiven && !names.some((taker) => taker === name)) {
      throw new BadUsage(`--${flag}: is for ${names.join(' and ')}`);
    }
  }
}
