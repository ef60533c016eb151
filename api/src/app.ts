/** The route table, and the one place where an error becomes an answer. Does not listen. */
import { isUtf8 } from 'node:buffer';
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express';
import type { Backlog } from './backlog.ts';
import { requireToken } from './bearer-token.ts';
import type { Dashboard } from './dashboard/dashboard.ts';
import { ApiError } from './errors.ts';
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
import { requireJson } from './routes/require-json.ts';
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
    .post(
      ...guard,
      requireJson,
      limitBody,
      express.json({ limit: bodyBytesMax, verify: checkBody }),
      timed('records', records.create),
    )
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
      tracing?.traceRequest(route, request, response);
      response.on('close', () => {
        const status = response.writableFinished ? response.statusCode : 0;
        metrics.requestDuration.observe({ route, status }, (performance.now() - start) / 1000);
      });
      return handler(request, response, next);
    };
  }
}

/**
 * The body parser takes what is over its limit to the end before it answers, so that the client hears of it. Over
 * this the answer comes at once, and server.ts ends the connection.
 */
const readBytesMax = 2 * 1024 * 1024;

const tooLarge = new ApiError('payload_too_large', `body: wants at most ${bodyBytesMax} bytes.`);

const limitBody: RequestHandler = (request, response, next) => {
  if (Number(request.headers['content-length'] ?? 0) > readBytesMax) throw tooLarge;
  let bytes = 0;
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > readBytesMax && !response.headersSent) refuse(response, tooLarge);
  });
  next();
};

const bodyProblems = {
  'entity.empty': 'body: wants JSON, got nothing.',
  'entity.parse.failed': 'body: wants valid JSON.',
  'body.utf8': 'body: wants valid UTF-8.',
} as const;

/**
 * The body parser takes an empty body for `{}`, replaces bytes that are no UTF-8, and takes UTF-16 and UTF-7 too.
 * It reports what is thrown here, with its `type`.
 */
function checkBody(_request: unknown, _response: unknown, body: Buffer, encoding: string): void {
  const fail = (type: string) => Object.assign(new Error(type), { type });
  if (encoding !== 'utf-8') throw fail('charset.unsupported');
  if (body.length === 0) throw fail('entity.empty');
  if (!isUtf8(body)) throw fail('body.utf8');
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

/** Express and its body parser throw errors with a `type` or a `status` of 4xx; the rest are faults. */
function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  const { type, status } = (error ?? {}) as { type?: unknown; status?: unknown };
  if (type === 'entity.too.large') return tooLarge;
  if (typeof type === 'string' && Object.hasOwn(bodyProblems, type)) {
    return new ApiError('invalid_request', bodyProblems[type as keyof typeof bodyProblems]);
  }
  if (status === 415 || type === 'charset.unsupported') {
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
