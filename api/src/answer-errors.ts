/** The one place where what a route throws becomes an answer, in every process. */
import type { ErrorRequestHandler } from 'express';
import { ApiError, type FailureCode } from './errors.ts';
import type { Logger } from './log.ts';
import { refuse } from './refusal.ts';

export function answerErrors(options: {
  logger: Logger;
  onRefused?: (code: FailureCode) => void;
}): ErrorRequestHandler {
  return (error, request, response, _next) => {
    const known = toApiError(error);
    options.onRefused?.(known.code);
    if (known.code === 'internal')
      options.logger.error(
        { err: error, path: request.path, requestId: response.get('X-Request-Id') },
        'request failed',
      );
    if (response.headersSent) {
      response.destroy();
      return;
    }
    refuse(response, known);
  };
}

/** Express throws errors with a `status` of 4xx for what it cannot read; the rest are faults. */
function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  const { status } = (error ?? {}) as { status?: unknown };
  if (typeof status === 'number' && status >= 400 && status < 500) {
    return new ApiError('invalid_request', 'The request could not be read.');
  }
  return new ApiError('internal', 'The server failed to answer this request.', { cause: error });
}
