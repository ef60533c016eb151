/** Each measured in each run, in an order that turns around from run to run. */
export async function alternate<One>(
  runs: number,
  all: readonly One[],
  measure: (one: One, run: number) => Promise<void>,
): Promise<void> {
  for (let run = 0; run < runs; run++) {
    for (const one of run % 2 === 0 ? all : all.toReversed()) await measure(one, run);
  }
}
