/** What a failed bulkWrite says: of each document, or of the whole command. */
import { MongoBulkWriteError, MongoError, MongoInvalidArgumentError, type WriteError } from 'mongodb';
import { classifyCode, type RefusalKind } from './refusals.ts';

/** Of one document. */
type Answer = Pick<WriteError, 'code' | 'errmsg'>;

/** By the index of the document; one without an answer was inserted. */
export type Answers = readonly (Answer | undefined)[];

/** What refused a whole command. */
export interface CommandRefusal {
  kind: RefusalKind;
  code?: number;
  /** A code or the name of an error, without anything that a document holds. */
  cause: string;
  message: string;
}

/** @param error thrown by a bulkWrite of `count` documents */
export function readFailure(error: unknown, count: number): Answers | CommandRefusal {
  if (error instanceof MongoBulkWriteError && !isInDoubt(error)) {
    const { writeErrors } = error;
    const errors = 'length' in writeErrors ? writeErrors : [writeErrors];
    const answers: (Answer | undefined)[] = new Array(count);
    for (const answer of errors) answers[answer.index] = answer;
    if (errors.length > 0) return answers;
  }
  const refusal = classifyCommand(error);
  const { kind, code, message } = refusal;
  // Whether it is a duplicate of its `_id` is looked up for a document, not for a command.
  return kind === 'duplicate' && code !== undefined && count === 1 ? [{ code, errmsg: message }] : refusal;
}

function classifyCommand(thrown: unknown): CommandRefusal {
  // The driver wraps what it throws once it has begun to send.
  const isWrapped = thrown instanceof MongoBulkWriteError && thrown.errorResponse instanceof Error;
  const error = isWrapped ? thrown.errorResponse : thrown;
  const message = error instanceof Error ? error.message : String(error);
  if (isInDoubt(thrown)) return { kind: 'transient', cause: 'write concern', message };
  if (error instanceof MongoError && !(error instanceof MongoInvalidArgumentError)) {
    const { code } = error;
    if (typeof code !== 'number') return { kind: 'transient', cause: error.name, message };
    return { kind: classifyCode(code), code, cause: `MongoDB error ${code}`, message };
  }
  const cause = error instanceof Error ? error.name : typeof error;
  return { kind: isOfSystem(error) ? 'transient' : 'content', cause, message };
}

/** Whether the write concern is in doubt, and with it every document. */
function isInDoubt(error: unknown): boolean {
  return error instanceof MongoBulkWriteError && error.result?.getWriteConcernError() !== undefined;
}

/** Whether the system, the network or TLS failed, however deep it is wrapped: `ENOTFOUND`, `CERT_HAS_EXPIRED`. */
function isOfSystem(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if ('syscall' in error || isOfSystem(error.cause)) return true;
  // A TypeError or RangeError with a code is of an argument: `ERR_OUT_OF_RANGE`.
  return 'code' in error && !(error instanceof TypeError) && !(error instanceof RangeError);
}
