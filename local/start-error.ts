/** A reason why the start cannot go on that its reader can do something about: shown without a stack. */
export class StartError extends Error {
  override name = 'StartError';
}
