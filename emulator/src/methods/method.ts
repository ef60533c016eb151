/** What the fronts call: a method takes an encoded request and gives an encoded response, whoever asks. */

export interface CallInfo {
  /** When the client gives up, ms since 1970; undefined: never. */
  deadlineMs: number | undefined;
  /** Called once when the client goes away before the answer. */
  onCancel: (() => void) | undefined;
}

/** A request's bytes are there until the answer is. @throws Refusal, StatusError, MalformedMessage */
export type UnaryMethod = (request: Buffer, call: CallInfo) => Promise<Buffer> | Buffer;
