/** The route table. Does not listen. */
import express, { type Express, type RequestHandler } from 'express';
import { onEnd } from './answer-end.ts';
import { answerErrors } from './answer-errors.ts';
import { arrivalOf } from './arrival.ts';
import type { Backlog } from './backlog.ts';
import { requireToken } from './bearer-token.ts';
import type { Budget } from './budget.ts';
import type { Dashboard } from './dashboard/dashboard.ts';
import type { FailureCode } from './errors.ts';
import { readJsonText } from './json-body.ts';
import type { KeyedRequests } from './keyed-requests.ts';
import type { Logger } from './log.ts';
import type { Metrics } from './metrics.ts';
import type { Publisher } from './publisher.ts';
import type { Reader } from './reader.ts';
import type { Readiness } from './readiness.ts';
import { bodyBytesMax } from './record-document.ts';
import { answerNotFound, only } from './refusal.ts';
import { createDashboardRouter } from './routes/dashboard.ts';
import { createHealthRouter } from './routes/health.ts';
import { createRecordsRoutes } from './routes/records.ts';
import { createStatsRoute } from './routes/stats.ts';
import type { Tracing } from './tracing.ts';

export interface AppDependencies {
  /** What the routes that write want to be shown; undefined lets everybody in. */
  token: string | undefined;
  budget: Budget;
  /** GET /api/data: routes/data.ts, or routes/direct-data.ts to be measured against. */
  dataRoute: RequestHandler;
  publisher: Publisher;
  reader: Reader;
  keyedRequests: KeyedRequests;
  backlog: Backlog;
  dashboard: Dashboard;
  readiness: Readiness;
  metrics: Metrics;
  /** Undefined: nothing is traced. */
  tracing: Tracing | undefined;
  logger: Logger;
  /** Told of each request that is answered with a failure. */
  onRefused: (code: FailureCode) => void;
  isServing: () => boolean;
}

export function createApp(dependencies: AppDependencies): Express {
  const { budget, metrics, token, tracing } = dependencies;
  const guard = token === undefined ? [] : [requireToken(token)];
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('query parser', false);

  const records = createRecordsRoutes(dependencies);
  app
    .route('/api/data')
    .head(only('GET'))
    .get(timed('data'), ...guard, dependencies.dataRoute)
    .all(only('GET'));
  app.route('/api/stats').get(timed('stats'), createStatsRoute(dependencies)).all(only('GET, HEAD'));
  app
    .route('/api/records')
    .post(timed('records'), ...guard, ...readJsonText(budget, bodyBytesMax), records.create)
    .all(only('POST'));
  app.route('/api/records/:id').get(timed('record'), records.find).all(only('GET, HEAD'));
  app.use(createHealthRouter({ ...dependencies, registry: metrics.registry }));
  app.use(createDashboardRouter(dependencies.dashboard, budget));
  app.use(answerNotFound);
  app.use(answerErrors(dependencies));
  return app;

  /** Measures from the arrival to the answer; a connection that closes before it shows as status 0. */
  function timed(route: string): RequestHandler {
    return (request, response, next) => {
      tracing?.traceRequest(request.route.path, request, response);
      onEnd(response, ({ writableFinished, statusCode }) => {
        const status = writableFinished ? statusCode : 0;
        metrics.requestDuration.observe({ route, status }, (performance.now() - arrivalOf(request)) / 1000);
      });
      next();
    };
  }
}
