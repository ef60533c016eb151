/** Tracing (tracing.ts) by OpenTelemetry's SDK, sent in batches as OTLP over HTTP. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  defaultTextMapGetter,
  defaultTextMapSetter,
  type Link,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import { callWithTimeout, W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { defaultResource, resourceFromAttributes } from '@opentelemetry/resources';
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  type SpanExporter,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import { onEnd } from './answer-end.ts';
import { arrivalOf } from './arrival.ts';
import type { Logger } from './log.ts';
import { names } from './names.ts';
import type { TracedCall, Tracing } from './tracing.ts';

/** The SDK's own bound on a span's links. */
const linksMax = 128;

/**
 * Spans that wait to be sent; over it new ones are dropped. A batch of the writer ends one for each of its messages at
 * once, up to 2,000 (LEASED_MESSAGES_MAX), and the SDK's default of 2,048 has no room for a second one while the first
 * is sent: these are four. A drain sends all of them in 16 calls at once, of the 30 that the exporter allows.
 */
const waitingSpansMax = 8_192;

/** https://opentelemetry.io/docs/specs/semconv/messaging/gcp-pubsub/ */
const sendAttributes = {
  'messaging.system': 'gcp_pubsub',
  'messaging.operation.type': 'send',
  'messaging.operation.name': 'send',
  'messaging.destination.name': names.topic,
};
const processAttributes = {
  'messaging.system': 'gcp_pubsub',
  'messaging.operation.type': 'process',
  'messaging.operation.name': 'process',
  'messaging.destination.name': names.topic,
  'messaging.destination.subscription.name': names.subscription,
};

/** https://opentelemetry.io/docs/specs/semconv/database/mongodb/ */
const storeAttributes = {
  'db.system.name': 'mongodb',
  'db.operation.name': 'bulkWrite',
  'db.collection.name': names.collection,
};

/** Of a drain: a collector that answers takes what is left in far less, and one that is away is tried for 10 s. */
const closeTimeoutMs = 2_000;

interface OtlpTracingOptions {
  service: string;
  endpoint: string;
  /** Of the traces that begin here; a request's own `traceparent` says for itself. */
  sampledShare: number;
  logger: Logger;
}

export function createOtlpTracing(options: OtlpTracingOptions): Tracing {
  const provider = createProvider(options);
  const tracer = provider.getTracer('assessment');
  const propagator = new W3CTraceContextPropagator();
  const requests = new WeakMap<IncomingMessage, Span>();

  const contextOf = (span: Span) => trace.setSpan(ROOT_CONTEXT, span);

  /**
   * A child of the first of `spans`, linked with all others both ways. Where none of them is recorded it is not
   * either, in the trace of the first: what a caller or the sampler left out must not begin a trace of its own.
   */
  function startShared(name: string, kind: SpanKind, spans: readonly Span[], attributes: object): Span {
    const [first = spans[0], ...others] = spans.filter((span) => span.isRecording());
    const links = others.slice(0, linksMax).map((span): Link => ({ context: span.spanContext() }));
    const parent = first ? contextOf(first) : ROOT_CONTEXT;
    const shared = tracer.startSpan(name, { kind, links, attributes: { ...attributes } }, parent);
    for (const span of others) span.addLink({ context: shared.spanContext() });
    return shared;
  }

  return {
    traceRequest(route, request, response) {
      const parent = propagator.extract(ROOT_CONTEXT, request.headers, defaultTextMapGetter);
      const attributes = { 'http.request.method': request.method ?? '', 'http.route': route };
      const options = { kind: SpanKind.SERVER, attributes, startTime: arrivalOf(request) };
      const span = tracer.startSpan(`${request.method} ${route}`, options, parent);
      requests.set(request, span);
      onEnd(response, () => endRequest(span, response));
    },
    spanOf: (request) => requests.get(request),
    startPublish(spans) {
      const span = startShared(`send ${names.topic}`, SpanKind.PRODUCER, spans, sendAttributes);
      const attributes: Record<string, string> = {};
      propagator.inject(contextOf(span), attributes, defaultTextMapSetter);
      return { attributes, end: (error) => endSpan(span, error) };
    },
    startStore(messages, writes) {
      const spans = messages
        .filter(({ traceparent }) => traceparent)
        .map((attributes) => {
          const parent = propagator.extract(ROOT_CONTEXT, attributes, defaultTextMapGetter);
          const options = { kind: SpanKind.CONSUMER, attributes: processAttributes };
          return tracer.startSpan(`process ${names.subscription}`, options, parent);
        });
      if (spans.length === 0) return untraced;
      const store = startShared(`bulkWrite ${names.collection}`, SpanKind.CLIENT, spans, {
        ...storeAttributes,
        'db.operation.batch.size': writes,
      });
      return {
        end(error) {
          for (const span of [store, ...spans]) endSpan(span, error);
        },
      };
    },
    async close() {
      await callWithTimeout(provider.shutdown(), closeTimeoutMs).catch((error) => {
        options.logger.warn({ err: error }, 'the last traces were not sent');
      });
    },
  };
}

function createProvider({ service, endpoint, sampledShare, logger }: OtlpTracingOptions): TracerProvider {
  const otlp = new OTLPTraceExporter({ url: `${endpoint.replace(/\/+$/, '')}/v1/traces` });
  const exporter = warnOfFailures(otlp, logger);
  return new TracerProvider({
    resource: defaultResource().merge(resourceFromAttributes({ 'service.name': service })),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(sampledShare) }),
    spanProcessors: [new BatchSpanProcessor({ exporter, maxQueueSize: waitingSpansMax })],
  });
}

/** Of the first in a row: the processor drops what it could not send without a word. */
function warnOfFailures(exporter: SpanExporter, logger: Logger): SpanExporter {
  let isFailing = false;
  return {
    export(spans, done) {
      exporter.export(spans, (result) => {
        if (result.error && !isFailing) logger.warn({ err: result.error }, 'traces cannot be sent');
        isFailing = result.error !== undefined;
        done(result);
      });
    },
    shutdown: () => exporter.shutdown(),
  };
}

const untraced: TracedCall = { end() {} };

function endSpan(span: Span, error: unknown): void {
  if (error !== undefined) failSpan(span, error instanceof Error ? error.name : '_OTHER');
  span.end();
}

/** A client that went away before its answer got no status; the one that is set by then is no answer. */
function endRequest(span: Span, response: ServerResponse): void {
  const { writableFinished: isAnswered, statusCode } = response;
  if (isAnswered) span.setAttribute('http.response.status_code', statusCode);
  if (!isAnswered) failSpan(span, 'client_gone');
  else if (statusCode >= 500) failSpan(span, String(statusCode));
  // By the clock of its start; without it the SDK takes one of whole milliseconds.
  span.end(performance.now());
}

/** https://opentelemetry.io/docs/specs/semconv/general/recording-errors/ */
function failSpan(span: Span, type: string): void {
  span.setAttribute('error.type', type);
  span.setStatus({ code: SpanStatusCode.ERROR });
}
