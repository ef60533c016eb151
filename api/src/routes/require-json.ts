import type { RequestHandler } from 'express';
import { ApiError } from '../errors.ts';

/** The body parser passes over a body of any other type. */
export const requireJson: RequestHandler = (request, _response, next) => {
  if (!/^application\/json\s*(;|$)/i.test(request.headers['content-type'] ?? '')) {
    throw new ApiError('unsupported_media_type', 'Content-Type: wants application/json.');
  }
  next();
};
