/**
 * A status as trailers: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md. They stay below 8 KiB, because
 * clients of Java and of gRPC's C core take no more, and beyond 64 KiB Node closes the connection instead of sending them.
 */
import type { OutgoingHttpHeaders } from 'node:http2';
import { type ErrorInfo, type StatusError, statusCodes, statusOf } from '../methods/status.ts';
import { encodeField } from '../protobuf.ts';

export const okTrailers: OutgoingHttpHeaders = { 'grpc-status': '0' };

/** Of a text, encoded; it is longer where it quotes what the client sent. */
const messageBytesMax = 6_000;
/** Of an ErrorInfo: 60 acks that failed. Clients take those that are not named as failed by the status itself. */
const metadataBytesMax = 4_000;

export function trailersOf(error: unknown): OutgoingHttpHeaders {
  const status = statusOf(error);
  const trailers = {
    'grpc-status': String(statusCodes[status.code]),
    'grpc-message': cut(percentEncoded(status.message)),
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

function cut(encoded: string): string {
  return encoded.length <= messageBytesMax ? encoded : encoded.slice(0, messageBytesMax).replace(/%.?$/, '');
}

/** A google.rpc.Status with the ErrorInfo. */
function details({ code }: StatusError, { reason, domain, metadata }: ErrorInfo): Buffer {
  const entries: Buffer[] = [];
  let bytes = 0;
  for (const [key, value] of Object.entries(metadata)) {
    const entry = encodeField(3, Buffer.concat([encodeField(1, key), encodeField(2, value)]));
    bytes += entry.length;
    if (bytes > metadataBytesMax) break;
    entries.push(entry);
  }
  const info = Buffer.concat([encodeField(1, reason), encodeField(2, domain), ...entries]);
  const any = Buffer.concat([
    encodeField(1, 'type.googleapis.com/google.rpc.ErrorInfo'),
    encodeField(2, info),
  ]);
  return Buffer.concat([Buffer.from([1 << 3, statusCodes[code]]), encodeField(3, any)]);
}
