/** The route table, and the one place where an error becomes an answer. Does not listen. */
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express';
import { refuse } from './admission.ts';
import type { Backlog } from './backlog.ts';
import { ApiError } from './errors.ts';
import type { Logger } from './log.ts';
import type { Metrics } from './metrics.ts';
import type { Publisher } from './publisher.ts';
import type { Reader } from './reader.ts';
import type { Readiness } from './readiness.ts';
import { bodyBytesMax } from './record-document.ts';
import { answerNotFound, createHealthRouter, only } from './routes/health.ts';
import { createRecordsRoutes } from './routes/records.ts';
import { createStatsRoute } from './routes/stats.ts';

export interface AppDependencies {
  /** GET /api/data: routes/data.ts, or routes/direct-data.ts to be measured against. */
  dataRoute: RequestHandler;
  publisher: Publisher;
  reader: Reader;
  backlog: Backlog;
  readiness: Readiness;
  metrics: Metrics;
  logger: Logger;
  isServing: () => boolean;
}

export function createApp(dependencies: AppDependencies): Express {
  const { metrics } = dependencies;
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('query parser', false);

  const records = createRecordsRoutes(dependencies);
  app.route('/api/data').head(only('GET')).get(timed('data', dependencies.dataRoute)).all(only('GET'));
  app
    .route('/api/stats')
    .get(timed('stats', createStatsRoute(dependencies)))
    .all(only('GET, HEAD'));
  app
    .route('/api/records')
    .post(
      requireJson,
      express.json({ limit: bodyBytesMax, verify: refuseEmptyBody }),
      timed('records', records.create),
    )
    .all(only('POST'));
  app.route('/api/records/:id').get(timed('record', records.find)).all(only('GET, HEAD'));
  app.use(createHealthRouter({ ...dependencies, registry: metrics.registry }));
  app.use(answerNotFound);
  app.use(answerErrors(dependencies));
  return app;

  /** Measures from here to the answer; a connection that closes before it shows as status 0. */
  function timed(route: string, handler: RequestHandler): RequestHandler {
    return (request, response, next) => {
      const start = performance.now();
      response.once('close', () => {
        const status = response.writableFinished ? response.statusCode : 0;
        metrics.requestDuration.observe({ route, status }, (performance.now() - start) / 1000);
      });
      return handler(request, response, next);
    };
  }
}

const requireJson: RequestHandler = (request, _response, next) => {
  if (!/^application\/json\s*(;|$)/i.test(request.headers['content-type'] ?? '')) {
    throw new ApiError('unsupported_media_type', 'Content-Type: wants application/json.');
  }
  next();
};

const entityEmpty = 'entity.empty';

/** The body parser takes an empty body for `{}`. It reports what is thrown here, with its `type`. */
function refuseEmptyBody(_request: unknown, _response: unknown, body: Buffer): void {
  if (body.length === 0) throw Object.assign(new Error('empty body'), { type: entityEmpty });
}

function answerErrors({ metrics, logger }: AppDependencies): ErrorRequestHandler {
  return (error, request, response, _next) => {
    const known = toApiError(error);
    metrics.refused.inc({ code: known.code });
    if (known.code === 'internal') logger.error({ err: error, path: request.path }, 'request failed');
    if (response.headersSent) {
      response.destroy();
      return;
    }
    refuse(response, known);
  };
}

/** Express and its body parser throw errors with a `type` or a `status` of 4xx; the rest are faults. */
function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  const { type, status } = (error ?? {}) as { type?: unknown; status?: unknown };
  if (type === 'entity.too.large') {
    return new ApiError('payload_too_large', `body: wants at most ${bodyBytesMax} bytes.`);
  }
  if (type === entityEmpty) return new ApiError('invalid_request', 'body: wants JSON, got nothing.');
  if (type === 'entity.parse.failed') return new ApiError('invalid_request', 'body: wants valid JSON.');
  if (status === 415) {
    return new ApiError(
      'unsupported_media_type',
      'body: wants UTF-8 JSON, plain or with gzip, deflate or br.',
    );
  }
  if (typeof status === 'number' && status >= 400 && status < 500) {
    return new ApiError('invalid_request', 'The request could not be read.');
  }
  return new ApiError('internal', 'The server failed to answer this request.', { cause: error });
}
