/** A refusal as a gRPC status, and a status as trailers: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md */
import type { OutgoingHttpHeaders } from 'node:http2';
import { Refusal } from '../broker/errors.ts';
import { encodeField, MalformedMessage } from '../protobuf.ts';

/** https://grpc.io/docs/guides/status-codes/ */
export const statusCodes = {
  OK: 0,
  INVALID_ARGUMENT: 3,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
} as const;

export type StatusCode = (typeof statusCodes)[keyof typeof statusCodes];

/** A status that the broker knows nothing of, or that has more than a code and a text. */
export class StatusError extends Error {
  override name = 'StatusError';
  readonly code: StatusCode;
  /** A google.rpc.Status. */
  readonly statusDetails: Buffer | undefined;

  constructor(code: StatusCode, message: string, statusDetails?: Buffer) {
    super(message);
    this.code = code;
    this.statusDetails = statusDetails;
  }
}

export const okTrailers: OutgoingHttpHeaders = { 'grpc-status': '0' };

export function trailersOf(error: unknown): OutgoingHttpHeaders {
  if (error instanceof Refusal) return trailers(statusCodes[error.code], error.message);
  if (error instanceof StatusError) {
    const { statusDetails } = error;
    const details = statusDetails && { 'grpc-status-details-bin': statusDetails.toString('base64') };
    return { ...trailers(error.code, error.message), ...details };
  }
  if (error instanceof MalformedMessage) {
    return trailers(statusCodes.INVALID_ARGUMENT, `The request cannot be decoded: ${error.message}`);
  }
  return trailers(statusCodes.INTERNAL, `The emulator failed: ${(error as Error).message}`);
}

function trailers(code: StatusCode, message: string): OutgoingHttpHeaders {
  return { 'grpc-status': String(code), 'grpc-message': percentEncoded(message) };
}

function percentEncoded(text: string): string {
  if (/^[ -$&-~]*$/.test(text)) return text;
  return [...Buffer.from(text)]
    .map((byte) =>
      byte >= 0x20 && byte <= 0x7e && byte !== 0x25
        ? String.fromCharCode(byte)
        : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`,
    )
    .join('');
}

/** Acks that failed under exactly-once delivery, as the service tells them: an ErrorInfo with the reason of each. */
export function ackFailure(reasons: ReadonlyMap<string, string>): StatusError {
  const entries = [...reasons].map(([ackId, reason]) =>
    encodeField(3, Buffer.concat([encodeField(1, ackId), encodeField(2, reason)])),
  );
  const info = Buffer.concat([
    encodeField(1, 'EXACTLY_ONCE_ACKID_FAILURE'),
    encodeField(2, 'pubsub.googleapis.com'),
    ...entries,
  ]);
  const any = Buffer.concat([
    encodeField(1, 'type.googleapis.com/google.rpc.ErrorInfo'),
    encodeField(2, info),
  ]);
  const code = Buffer.from([1 << 3, statusCodes.INVALID_ARGUMENT]);
  return new StatusError(statusCodes.INVALID_ARGUMENT, '', Buffer.concat([code, encodeField(3, any)]));
}
