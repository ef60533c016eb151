/** The route table, and the one place where an error becomes an answer. Does not listen. */
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express';
import type { Backlog } from './backlog.ts';
import { requireToken } from './bearer-token.ts';
import type { Dashboard } from './dashboard/dashboard.ts';
import { ApiError } from './errors.ts';
import { readJson, toBodyError } from './json-body.ts';
import type { Logger } from './log.ts';
import type { Metrics } from './metrics.ts';
import type { Publisher } from './publisher.ts';
import type { Reader } from './reader.ts';
import type { Readiness } from './readiness.ts';
import { bodyBytesMax } from './record-document.ts';
import { answerNotFound, only, refuse } from './refusal.ts';
import { createDashboardRouter } from './routes/dashboard.ts';
import { createHealthRouter } from './routes/health.ts';
import { createRecordsRoutes } from './routes/records.ts';
import { createStatsRoute } from './routes/stats.ts';
import type { Tracing } from './tracing.ts';

export interface AppDependencies {
  /** What the routes that write want to be shown; undefined lets everybody in. */
  token: string | undefined;
  /** GET /api/data: routes/data.ts, or routes/direct-data.ts to be measured against. */
  dataRoute: RequestHandler;
  publisher: Publisher;
  reader: Reader;
  backlog: Backlog;
  dashboard: Dashboard;
  readiness: Readiness;
  metrics: Metrics;
  /** Undefined: nothing is traced. */
  tracing: Tracing | undefined;
  logger: Logger;
  isServing: () => boolean;
}

export function createApp(dependencies: AppDependencies): Express {
  const { metrics, token, tracing } = dependencies;
  const guard = token === undefined ? [] : [requireToken(token)];
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('query parser', false);

  const records = createRecordsRoutes(dependencies);
  app
    .route('/api/data')
    .head(only('GET'))
    .get(...guard, timed('data', dependencies.dataRoute))
    .all(only('GET'));
  app
    .route('/api/stats')
    .get(timed('stats', createStatsRoute(dependencies)))
    .all(only('GET, HEAD'));
  app
    .route('/api/records')
    .post(...guard, ...readJson(bodyBytesMax), timed('records', records.create))
    .all(only('POST'));
  app.route('/api/records/:id').get(timed('record', records.find)).all(only('GET, HEAD'));
  app.use(createHealthRouter({ ...dependencies, registry: metrics.registry }));
  app.use(createDashboardRouter(dependencies.dashboard));
  app.use(answerNotFound);
  app.use(answerErrors(dependencies));
  return app;

  /** Measures from here to the answer; a connection that closes before it shows as status 0. */
  function timed(route: string, handler: RequestHandler): RequestHandler {
    return (request, response, next) => {
      const start = performance.now();
      tracing?.traceRequest(request.route.path, request, response);
      response.on('close', () => {
        const status = response.writableFinished ? response.statusCode : 0;
        metrics.requestDuration.observe({ route, status }, (performance.now() - start) / 1000);
      });
      return handler(request, response, next);
    };
  }
}

function answerErrors({ metrics, logger }: AppDependencies): ErrorRequestHandler {
  return (error, request, response, _next) => {
    const known = toApiError(error);
    metrics.refused.inc({ code: known.code });
    if (known.code === 'internal')
      logger.error(
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

/** Express throws errors with a `status` of 4xx, as its body parser does; the rest are faults. */
function toApiError(error: unknown): ApiError {
  const known = error instanceof ApiError ? error : toBodyError(error);
  if (known) return known;
  const { status } = (error ?? {}) as { status?: unknown };
  if (typeof status === 'number' && status >= 400 && status < 500) {
    return new ApiError('invalid_request', 'The request could not be read.');
  }
  return new ApiError('internal', 'The server failed to answer this request.', { cause: error });
}
