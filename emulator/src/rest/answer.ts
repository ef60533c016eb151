/** A response as JSON, and a status as the error that every Google API has: https://cloud.google.com/apis/design/errors */
import type { ServerResponse } from 'node:http';
import { type StatusName, statusOf } from '../methods/status.ts';

/** https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto */
const httpStatuses: Record<StatusName, number> = {
  OK: 200,
  CANCELLED: 499,
  UNKNOWN: 500,
  INVALID_ARGUMENT: 400,
  DEADLINE_EXCEEDED: 504,
  NOT_FOUND: 404,
  ALREADY_EXISTS: 409,
  PERMISSION_DENIED: 403,
  RESOURCE_EXHAUSTED: 429,
  FAILED_PRECONDITION: 400,
  ABORTED: 409,
  OUT_OF_RANGE: 400,
  UNIMPLEMENTED: 501,
  INTERNAL: 500,
  UNAVAILABLE: 503,
  DATA_LOSS: 500,
  UNAUTHENTICATED: 401,
};

export function sendJson(
  response: ServerResponse,
  json: unknown,
  options: { status?: number; isPretty?: boolean } = {},
) {
  const { status = 200, isPretty = true } = options;
  const body = `${JSON.stringify(json, null, isPretty ? 2 : 0)}\n`;
  response.writeHead(status, {
    'content-type': 'application/json; charset=UTF-8',
    'content-length': Buffer.byteLength(body),
  });
  response.end(body);
}

/** Whatever was thrown. */
export function sendError(response: ServerResponse, error: unknown, isPretty = true): void {
  if (response.headersSent || response.destroyed) return;
  const { code: name, message, errorInfo } = statusOf(error);
  const status = httpStatuses[name];
  const details = errorInfo && [{ '@type': 'type.googleapis.com/google.rpc.ErrorInfo', ...errorInfo }];
  sendJson(
    response,
    { error: { code: status, message, status: name, ...(details && { details }) } },
    { status, isPretty },
  );
}
