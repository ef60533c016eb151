/** A refusal as a gRPC status: https://grpc.io/docs/guides/status-codes/ */
import { Metadata, type StatusObject, status } from '@grpc/grpc-js';
import { Refusal } from '../broker/errors.ts';
import { encodeField, MalformedMessage } from '../protobuf.ts';

export function statusOf(error: unknown): Partial<StatusObject> & { code: status; details: string } {
  if (error instanceof Refusal) return { code: status[error.code], details: error.message };
  if (error instanceof MalformedMessage) {
    return { code: status.INVALID_ARGUMENT, details: `The request cannot be decoded: ${error.message}` };
  }
  return { code: status.INTERNAL, details: `The emulator failed: ${(error as Error).message}` };
}

/** Acks that failed under exactly-once delivery, as the service tells them: an ErrorInfo with the reason of each. */
export function ackFailure(reasons: ReadonlyMap<string, string>): StatusObject {
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
  const code = Buffer.from([1 << 3, status.INVALID_ARGUMENT]);
  const metadata = new Metadata();
  metadata.set('grpc-status-details-bin', Buffer.concat([code, encodeField(3, any)]));
  return { code: status.INVALID_ARGUMENT, details: '', metadata };
}
