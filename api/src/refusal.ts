/** A failure (errors.ts) as an HTTP answer, in the one shape that all of them have. */
import type { ServerResponse } from 'node:http';
import type { RequestHandler } from 'express';
import { ApiError } from './errors.ts';

/** Answers with the error's status, headers and body. */
export function refuse(response: ServerResponse, error: ApiError): void {
  response.statusCode = error.status;
  // So that the client goes elsewhere; what it still sends nobody reads.
  if (error.code === 'draining') response.setHeader('Connection', 'close');
  for (const [name, value] of Object.entries(refusalHeaders(error))) response.setHeader(name, value);
  response.end(error.body);
}

/** For whoever writes an answer by hand. */
export function refusalHeaders({ body, retryAfterSeconds }: ApiError): Record<string, string> {
  return {
    ...(retryAfterSeconds === undefined ? {} : { 'Retry-After': String(retryAfterSeconds) }),
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': String(Buffer.byteLength(body)),
  };
}

/** Answers every method that came this far with 405 and `methods`, such as `GET, HEAD`: those that the path takes. */
export function only(methods: string): RequestHandler {
  return (_request, response) => {
    response.setHeader('Allow', methods);
    throw new ApiError('method_not_allowed', `This path takes ${methods}.`);
  };
}

export const answerNotFound: RequestHandler = () => {
  throw new ApiError('not_found', 'There is nothing at this path.');
};
