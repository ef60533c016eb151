/**
 * Where writes come from, for those who want to follow them: a caller's own X-Request-Id, and a trace. Both travel
 * as attributes of the message. A request that brings neither is known by the id of its first write, which is in
 * its answer, in its envelope and in MongoDB anyway, and costs nothing.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Span } from '@opentelemetry/api';
import type { Write } from './envelope.ts';
import { attributeBytesMax } from './pubsub.ts';
import type { TracedCall, Tracing } from './tracing.ts';

export interface Origin {
  requestId: string | undefined;
  span: Span | undefined;
}

/** What travels with an envelope, and what is told when it is confirmed or not. */
export interface Travel extends TracedCall {
  attributes: Record<string, string>;
}

/** As long as a UUID or a trace id, and no character that means something in a log or a header. */
const requestIdPattern = /^[\w.:-]{1,64}$/;

/** Answers with the caller's own id; one that is no id is left out. */
export function originOf(
  request: IncomingMessage,
  response: ServerResponse,
  tracing: Tracing | undefined,
): Origin | undefined {
  const given = request.headers['x-request-id'];
  const span = tracing?.spanOf(request);
  if (given === undefined && !span) return undefined;
  const requestId = typeof given === 'string' && requestIdPattern.test(given) ? given : undefined;
  if (requestId) response.setHeader('X-Request-Id', requestId);
  return { requestId, span };
}

export function createTravel(origins: readonly Origin[], tracing: Tracing | undefined): Travel {
  const spans = origins.flatMap(({ span }) => span ?? []);
  const traced = tracing && spans.length > 0 ? tracing.startPublish(spans) : undefined;
  const requestIds = joinRequestIds(origins);
  return {
    attributes: { ...traced?.attributes, ...(requestIds === '' ? {} : { requestIds }) },
    end: (error) => traced?.end(error),
  };
}

/** As many as an attribute holds. */
function joinRequestIds(origins: readonly Origin[]): string {
  let joined = '';
  for (const { requestId } of origins) {
    if (!requestId) continue;
    if (joined.length + 1 + requestId.length > attributeBytesMax) break;
    joined += joined === '' ? requestId : `,${requestId}`;
  }
  return joined;
}

/** Of an envelope's requests in one line of the log; more would fill it with what debug says of each envelope. */
const firstIdsMax = 20;

/** For the log: the callers' own ids, and the first write of each request, or each document of a caller's own. */
export function describeRequests(writes: readonly Write[], attributes: Record<string, string> = {}) {
  const first = writes.filter((write) => write.type === 'record' || write.index === 0);
  return {
    requestIds: attributes.requestIds?.split(','),
    firstIds: first.slice(0, firstIdsMax).map((write) => write._id.toHexString()),
  };
}
