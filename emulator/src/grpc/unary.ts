/** A method with one request and one answer, as a function that returns the answer or throws a refusal. */
import type { handleUnaryCall, ServerUnaryCall, StatusObject } from '@grpc/grpc-js';
import { statusOf } from './status.ts';

/** Thrown where a status has more than a code and a text. */
export class StatusError extends Error {
  override name = 'StatusError';
  readonly status: StatusObject;

  constructor(status: StatusObject) {
    super(status.details);
    this.status = status;
  }
}

export function unary<Request, Response>(
  answer: (request: Request, call: ServerUnaryCall<Request, Response>) => Promise<Response> | Response,
): handleUnaryCall<Request, Response> {
  return async (call, callback) => {
    try {
      callback(null, await answer(call.request, call));
    } catch (error) {
      callback(error instanceof StatusError ? error.status : statusOf(error));
    }
  };
}
