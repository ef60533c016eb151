/** The signals that end a command which has something to finish: the first one ends it in order, the second one at once. */

/** What a shell says of a program that Ctrl-C has ended. */
export const interruptedExitCode = 130;

/**
 * npm passes on a Ctrl-C that the terminal has sent to all of its group already, so one press arrives
 * twice within milliseconds.
 */
const sameSignalMs = 1_000;

/** Never undone: a repeat that came after that would kill the process. */
export function onStopSignals(options: { onFirst: (signal: string) => void; onSecond?: () => void }): void {
  const { onFirst, onSecond = () => process.exit(interruptedExitCode) } = options;
  let firstAt: number | undefined;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (firstAt === undefined) {
        firstAt = performance.now();
        onFirst(signal);
      } else if (performance.now() - firstAt > sameSignalMs) {
        onSecond();
      }
    });
  }
}
