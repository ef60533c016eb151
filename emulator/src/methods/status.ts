/** How a call ends that is not answered: a code, a text and perhaps details. Both fronts print it in their way. */
import { Refusal } from '../broker/errors.ts';
import { MalformedMessage } from '../protobuf.ts';

/** https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto */
export const statusCodes = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;

export type StatusName = keyof typeof statusCodes;

/** google.rpc.ErrorInfo */
export interface ErrorInfo {
  reason: string;
  domain: string;
  metadata: Record<string, string>;
}

/** A status that the broker knows nothing of, or that has more than a code and a text. */
export class StatusError extends Error {
  override name = 'StatusError';
  readonly code: StatusName;
  readonly errorInfo: ErrorInfo | undefined;

  constructor(code: StatusName, message: string, errorInfo?: ErrorInfo) {
    super(message);
    this.code = code;
    this.errorInfo = errorInfo;
  }
}

/** Whatever a method threw, as a status. */
export function statusOf(error: unknown): StatusError {
  if (error instanceof StatusError) return error;
  if (error instanceof Refusal) return new StatusError(error.code, error.message);
  if (error instanceof MalformedMessage) {
    return new StatusError('INVALID_ARGUMENT', `The request cannot be decoded: ${error.message}`);
  }
  return new StatusError('INTERNAL', `The emulator failed: ${(error as Error).message}`);
}

/** Acks that failed under exactly-once delivery, as the service tells them: an ErrorInfo with the reason of each. */
export function ackFailure(reasons: ReadonlyMap<string, string>): StatusError {
  return new StatusError('INVALID_ARGUMENT', '', {
    reason: 'EXACTLY_ONCE_ACKID_FAILURE',
    domain: 'pubsub.googleapis.com',
    metadata: Object.fromEntries(reasons),
  });
}
