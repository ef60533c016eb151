/** Which ports everything gets: those that are set, or the next free ones from the defaults on. */
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { StartError } from './start-error.ts';

export interface WantedPort {
  /** The environment variable, which the error names. */
  variable: string;
  /** Set by the user: this one or none. 0 is any free one. */
  given: number | undefined;
  fallback: number;
  host: string;
}

export interface ChosenPort {
  port: number;
  /** Why it is not the default, where that is a surprise. */
  note?: string;
}

/** Ports tried after a default that is taken. */
const triesMax = 100;

/** @throws StartError that names the variable of a port that is set and cannot be had. */
export async function choosePorts<Name extends string>(
  wanted: Record<Name, WantedPort>,
): Promise<Record<Name, ChosenPort>> {
  const chosen: Partial<Record<Name, ChosenPort>> = {};
  const taken = new Map<number, string>();
  const entries = Object.entries(wanted) as [Name, WantedPort][];
  const defaults = new Set(entries.map(([, { fallback }]) => fallback));
  // Those that are set first, so that no default takes one of them.
  entries.sort(([, a], [, b]) => Number(a.given === undefined) - Number(b.given === undefined));
  for (const [name, want] of entries) {
    const choice =
      want.given === undefined ? await chooseDefault(want, taken, defaults) : await chooseGiven(want, taken);
    taken.set(choice.port, want.variable);
    chosen[name] = choice;
  }
  return chosen as Record<Name, ChosenPort>;
}

async function chooseGiven(want: WantedPort, taken: Map<number, string>): Promise<ChosenPort> {
  const { variable, host } = want;
  const given = want.given ?? 0;
  const other = taken.get(given);
  if (other) throw new StartError(`${variable}: ${given} is what ${other} says already; set one to another.`);
  const result = await probe(host, given);
  if (typeof result === 'number') return { port: result };
  const why = result === 'EACCES' ? 'needs rights that you do not have' : 'is taken by another process';
  throw new StartError(`${variable}: ${host}:${given} ${why}; set ${variable} to another port, or unset it.`);
}

async function chooseDefault(
  want: WantedPort,
  taken: Map<number, string>,
  defaults: Set<number>,
): Promise<ChosenPort> {
  const { variable, host, fallback } = want;
  for (let port = fallback; port < fallback + triesMax; port++) {
    // The others' defaults are left to them: one port that is taken is to move one part only.
    if (taken.has(port) || (port !== fallback && defaults.has(port))) continue;
    if (typeof (await probe(host, port)) !== 'number') continue;
    if (port === fallback) return { port };
    return { port, note: `port ${port}, because ${fallback} is taken; ${variable} sets another` };
  }
  throw new StartError(
    `${variable}: all ports from ${fallback} to ${fallback + triesMax - 1} are taken; set ${variable} to another.`,
  );
}

export async function isFree(host: string, port: number): Promise<boolean> {
  return typeof (await probe(host, port).catch(() => 'no such address')) === 'number';
}

/**
 * The port when it could be listened on, else what is wrong with it.
 * @throws StartError when it is the host that is wrong.
 */
async function probe(host: string, port: number): Promise<number | 'EADDRINUSE' | 'EACCES'> {
  const server = createServer();
  try {
    server.listen({ host, port });
    await once(server, 'listening');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE' || code === 'EACCES') return code;
    throw new StartError(`HOST: ${host} is no address of this machine (${code}); set HOST to one that is.`);
  }
  const { port: actual } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return actual;
}
