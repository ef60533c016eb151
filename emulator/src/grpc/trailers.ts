/** A status as trailers: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md */
import type { OutgoingHttpHeaders } from 'node:http2';
import { type ErrorInfo, type StatusError, statusCodes, statusOf } from '../methods/status.ts';
import { encodeField } from '../protobuf.ts';

export const okTrailers: OutgoingHttpHeaders = { 'grpc-status': '0' };

export function trailersOf(error: unknown): OutgoingHttpHeaders {
  const status = statusOf(error);
  const trailers = {
    'grpc-status': String(statusCodes[status.code]),
    'grpc-message': percentEncoded(status.message),
  };
  if (!status.errorInfo) return trailers;
  return { ...trailers, 'grpc-status-details-bin': details(status, status.errorInfo).toString('base64') };
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

/** A google.rpc.Status with the ErrorInfo. */
function details({ code }: StatusError, { reason, domain, metadata }: ErrorInfo): Buffer {
  const entries = Object.entries(metadata).map(([key, value]) =>
    encodeField(3, Buffer.concat([encodeField(1, key), encodeField(2, value)])),
  );
  const info = Buffer.concat([encodeField(1, reason), encodeField(2, domain), ...entries]);
  const any = Buffer.concat([
    encodeField(1, 'type.googleapis.com/google.rpc.ErrorInfo'),
    encodeField(2, info),
  ]);
  return Buffer.concat([Buffer.from([1 << 3, statusCodes[code]]), encodeField(3, any)]);
}
