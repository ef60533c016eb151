/**
 * A reason why a command cannot do its work that its reader can do something about, such as a part that is not there:
 * shown without a stack.
 */
export class CannotRun extends Error {
  override name = 'CannotRun';
}
