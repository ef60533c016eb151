/**
 * Traces, from a request over its envelope to the bulkWrite that stores it, as W3C trace context
 * (https://www.w3.org/TR/trace-context/). Nothing of it is loaded, and nothing is paid for it, unless
 * OTEL_EXPORTER_OTLP_ENDPOINT says where to send them.
 *
 * An envelope carries the writes of many requests, and a bulkWrite those of many envelopes. Each is the child of
 * the first that it serves and is linked with all others, both ways, so every request's trace leads to the bulkWrite.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Span } from '@opentelemetry/api';
import type { Logger } from './log.ts';

export interface Tracing {
  /** A span from the arrival to the answer of `route`, a template, in the trace that the request's `traceparent` names. */
  traceRequest(route: string, request: IncomingMessage, response: ServerResponse): void;
  spanOf(request: IncomingMessage): Span | undefined;
  /** `attributes` are those of the message, which carries the trace on. */
  startPublish(requests: readonly Span[]): TracedCall & { attributes: Record<string, string> };
  /** A span for each message that carries a trace, and one for the bulkWrite that stores them all. */
  startStore(attributes: readonly Record<string, string>[], writes: number): TracedCall;
  /** Sends what is left, for a moment; a collector that is away is no failure. */
  close(): Promise<void>;
}

export interface TracedCall {
  end(error?: unknown): void;
}

export interface TracingConfig {
  OTEL_EXPORTER_OTLP_ENDPOINT?: string | undefined;
  OTEL_TRACES_SAMPLER_ARG: number;
}

/** Undefined when it is off. */
export async function startTracing(
  service: string,
  config: TracingConfig,
  logger: Logger,
): Promise<Tracing | undefined> {
  const endpoint = config.OTEL_EXPORTER_OTLP_ENDPOINT;
  if (!endpoint) return undefined;
  const { createOtlpTracing } = await import('./otlp-tracing.ts');
  return createOtlpTracing({ service, endpoint, sampledShare: config.OTEL_TRACES_SAMPLER_ARG, logger });
}
