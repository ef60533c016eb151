/** The signals that end `npm start`: the first one drains, the second one does not wait. */

/**
 * npm passes on a Ctrl-C that the terminal has sent to all of its group already, so one press arrives
 * twice within milliseconds.
 */
const sameSignalMs = 1_000;

export function onStopSignals(options: { onFirst: (signal: string) => void; onSecond: () => void }): void {
  let firstAt: number | undefined;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (firstAt === undefined) {
        firstAt = performance.now();
        options.onFirst(signal);
      } else if (performance.now() - firstAt > sameSignalMs) {
        options.onSecond();
      }
    });
  }
}
