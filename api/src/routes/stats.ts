import type { RequestHandler } from 'express';
import type { Backlog } from '../backlog.ts';
import { ApiError } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import type { Reader } from '../reader.ts';

/** GET /api/stats: counts kept in the background; no request asks MongoDB. */
export function createStatsRoute({
  reader,
  backlog,
  metrics,
}: {
  reader: Reader;
  backlog: Backlog;
  metrics: Metrics;
}): RequestHandler {
  return async (_request, response) => {
    const count = reader.totalDocuments();
    if (!count) throw new ApiError('database_unavailable', 'MongoDB has not answered yet. Try again.');
    const confirmed = await metrics.confirmedWrites.get();
    response.json({
      total_documents: count.total,
      total_documents_age_seconds: Number(count.ageSeconds.toFixed(3)),
      accepted: confirmed.values[0]?.value ?? 0,
      pending: backlog.pending(),
      timestamp: new Date(),
    });
  };
}
