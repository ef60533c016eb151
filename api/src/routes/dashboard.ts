import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import express, { type RequestHandler, Router } from 'express';
import type { Budget } from '../budget.ts';
import type { Dashboard } from '../dashboard/dashboard.ts';
import { ApiError } from '../errors.ts';
import { readJsonText } from '../json-body.ts';
import { only } from '../refusal.ts';

/** Everything comes from here, nothing is inline, and no other page may frame it. */
const contentSecurityPolicy = [
  "default-src 'none'",
  ...["script-src 'self'", "style-src 'self'", "connect-src 'self'", "img-src 'self'"],
  ...["base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"],
].join('; ');

const pageFolder = join(import.meta.dirname, '../dashboard/page');
const plotFolder = fileURLToPath(new URL('.', import.meta.resolve('uplot/dist/uPlot.iife.min.js')));
const plotFiles = ['uPlot.iife.min.js', 'uPlot.min.css'];

/** What a page that is opened asks for; all of it answers under any load. */
export const dashboardPaths = [
  ...['/', '/dashboard/events'],
  ...[...readdirSync(pageFolder), ...plotFiles].map((file) => `/dashboard/${file}`),
];

/** `{"requests":5000}` and room. */
const burstBytesMax = 1_024;

/** GET / and what the page asks for under /dashboard/. */
export function createDashboardRouter(dashboard: Dashboard, budget: Budget): Router {
  const router = Router();
  const files = { index: false, cacheControl: false, redirect: false } as const;

  router
    .route('/')
    .get(protect, (_request, response) => response.sendFile('index.html', { root: pageFolder, ...files }))
    .all(only('GET, HEAD'));

  router
    .route('/dashboard/events')
    // HEAD would take a viewer's place, and never end.
    .head(only('GET'))
    .get((_request, response) => dashboard.viewers.add(response))
    .all(only('GET'));

  // JSON alone: a page of another origin cannot send it without asking, and gets no leave.
  router
    .route('/dashboard/burst')
    .post(requireBursts, requireSameOrigin, ...readJsonText(budget, burstBytesMax), startBurst)
    .all(requireBursts, only('POST'));

  router.get(
    plotFiles.map((file) => `/dashboard/${file}`),
    protect,
    (request, response) => {
      response.sendFile(request.path.slice('/dashboard/'.length), { root: plotFolder, ...files });
    },
  );
  router.use('/dashboard', protect, express.static(pageFolder, files));
  return router;

  function startBurst(...[request, response]: Parameters<RequestHandler>): void {
    const { localAddress, localPort } = request.socket;
    const host = localAddress?.includes(':') ? `[${localAddress}]` : localAddress;
    dashboard.bursts.start(requestsOf(request.body), `http://${host}:${localPort}/api/data`);
    response.status(202).json({ status: 'success' });
  }

  function requireBursts(...[, , next]: Parameters<RequestHandler>): void {
    if (dashboard.burstRequestsMax === 0) next('route');
    else next();
  }
}

const protect: RequestHandler = (_request, response, next) => {
  response.setHeader('Content-Security-Policy', contentSecurityPolicy);
  response.setHeader('Referrer-Policy', 'no-referrer');
  // Asked for again each time, and not sent again unless it is another: a new version shows at once.
  response.setHeader('Cache-Control', 'no-cache');
  next();
};

function requestsOf(text: string): unknown {
  try {
    return JSON.parse(text)?.requests;
  } catch (cause) {
    throw new ApiError('invalid_request', 'body: must be valid JSON.', { cause });
  }
}

/** https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Sec-Fetch-Site; programs send none. */
const requireSameOrigin: RequestHandler = (request, _response, next) => {
  const site = request.headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin') {
    throw new ApiError('invalid_request', 'Sec-Fetch-Site: wants same-origin.');
  }
  next();
};
