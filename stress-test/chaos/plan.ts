/** Which faults strike when: all of it follows from the seed. */
import { clockFaults } from './faults/clocks.ts';
import { diskFaults } from './faults/disks.ts';
import type { Fault } from './faults/fault.ts';
import { linkFaults } from './faults/links.ts';
import { mongoDbErrors } from './faults/mongodb-errors.ts';
import { processFaults } from './faults/processes.ts';
import { repeatFaults } from './faults/repeats.ts';
import { writerFaults } from './faults/writers.ts';
import { createRandom, type Random } from './random.ts';

export const faults: readonly Fault[] = [
  ...processFaults,
  ...linkFaults,
  ...repeatFaults,
  ...diskFaults,
  ...clockFaults,
  ...writerFaults,
  ...mongoDbErrors,
];

export interface Strike {
  fault: Fault;
  /** After the load began. */
  atMs: number;
  holdMs: number;
  random: Random;
}

/** The load has to run before, and a writer's lease of 10 s to end within the round after. */
const atMs = { min: 200, max: 1_200 } as const;
const holdMs = { min: 200, max: 1_500 } as const;

/** One after another, shuffled, and between any two of them a pair of those that break different things. */
export function* planRounds(seed: string, among: readonly Fault[][]): Generator<Strike[], never> {
  const random = createRandom(seed);
  const singles = among.filter((group) => group.length === 1);
  const given = among.filter((group) => group.length > 1);
  const pairs = pairsBetween(among);
  for (;;) {
    for (const group of shuffle([...singles, ...given], random)) {
      yield group.map((fault) => strike(fault, random));
      if (pairs.length > 0) yield random.pick(pairs).map((fault) => strike(fault, random));
    }
  }
}

/** Until each has struck once, with a pair after each. */
export function roundsOnce(among: readonly Fault[][]): number {
  return among.length * (pairsBetween(among).length > 0 ? 2 : 1);
}

function strike(fault: Fault, random: Random): Strike {
  return {
    fault,
    atMs: random.between(atMs.min, atMs.max),
    holdMs: random.between(holdMs.min, holdMs.max),
    random: createRandom(String(random.next())),
  };
}

/** None where there is one that was asked for. */
function pairsBetween(among: readonly Fault[][]): [Fault, Fault][] {
  if (among.some((group) => group.length > 1)) return [];
  const list = among.flat();
  return list.flatMap((one, index) =>
    list
      .slice(index + 1)
      .filter((other) => !one.touches.some((touched) => other.touches.includes(touched)))
      .map((other): [Fault, Fault] => [one, other]),
  );
}

function shuffle<T>(list: readonly T[], random: Random): T[] {
  return list
    .map((value) => ({ value, order: random.next() }))
    .sort((a, b) => a.order - b.order)
    .map(({ value }) => value);
}
