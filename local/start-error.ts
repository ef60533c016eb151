/** A reason why the start cannot go on that its reader can do something about: shown without a stack. */
export class StartError extends Error {
  override name = 'StartError';
}

/** What went wrong, in one line. Some errors of sockets have only a code. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code } = error as NodeJS.ErrnoException;
  return (error.message || code || error.name).split('\n')[0] ?? '';
}
