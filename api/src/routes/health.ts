import { Router } from 'express';
import type { Registry } from 'prom-client';
import { ApiError } from '../errors.ts';
import type { Readiness } from '../readiness.ts';
import { only, refuse } from '../refusal.ts';

export interface HealthDependencies {
  readiness: Readiness;
  registry: Registry;
  /** True from the end of start-up until the drain begins. */
  isServing: () => boolean;
}

/** What answers under any load. */
export const healthPaths = ['/healthz', '/servez', '/readyz', '/metrics'];

/** Health and metrics, the same in every process. */
export function createHealthRouter({ readiness, registry, isServing }: HealthDependencies): Router {
  const router = Router();

  /** The process runs. */
  router.get('/healthz', (_request, response) => {
    response.json({ status: 'ok', timestamp: new Date() });
  });

  /** For the readiness probe; a MongoDB or broker that is away does not take the process out. */
  router.get('/servez', (_request, response) => {
    if (isServing()) response.json({ status: 'ok', timestamp: new Date() });
    // Not thrown: a probe does not count as a request that is refused.
    else refuse(response, new ApiError('draining', 'The server is starting or shutting down.'));
  });

  /** For people, k6 and alerts; whether every part that this process needs answers. */
  router.get('/readyz', async (_request, response) => {
    const problem = isServing() ? await readiness.problem() : 'the server is starting or shutting down';
    if (problem) response.status(503).json({ status: 'not ready', error: problem });
    else response.json({ status: 'ready', timestamp: new Date() });
  });

  /** All, or those that are named, as in `/metrics?name=a&name=b`: the dashboard asks each second for a few. */
  router.get('/metrics', async (request, response) => {
    const names = new URLSearchParams(request.url.split('?')[1]).getAll('name');
    const wanted = new Set(names);
    // From the registry's list: its look-up by name finds what every object inherits, such as `constructor`.
    const known = registry.getMetricsAsArray().filter(({ name }) => wanted.has(name));
    const text =
      names.length === 0
        ? await registry.metrics()
        : await Promise.all(known.map(({ name }) => registry.getSingleMetricAsString(name)));
    response.type(registry.contentType).send([text].flat().join('\n'));
  });

  router.all(healthPaths, only('GET, HEAD'));
  return router;
}
