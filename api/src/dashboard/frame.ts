/** What the dashboard shows of one second: figures alone, no ids and no documents. */
import { names } from '../names.ts';
import type { Burst } from './burst.ts';
import type { MongoDbStatus } from './mongodb-status.ts';
import { quantile, type Sample, total, totalsBy } from './samples.ts';

/** `trouble`: it answers, and something in it does not go as it should; `unwatched`: nobody said where it is. */
export type PartState = 'up' | 'trouble' | 'down' | 'unwatched';

export interface Part {
  state: PartState;
  /** One sentence for people. */
  text: string;
}

export interface Quantiles {
  p50: number | null;
  p95: number | null;
  p99: number | null;
}

/** Rates are per second, durations in seconds; null is what is not known (yet). */
export interface Frame {
  /** Milliseconds since 1970. */
  at: number;
  parts: { api: Part; topic: Part; writer: Part; mongodb: Part };
  requests: { rate: number | null; inFlight: number | null; latency: Quantiles };
  confirmed: { rate: number | null; latency: Quantiles };
  stored: { rate: number | null; documents: number | null };
  backlog: { unacked: number | null; leased: number | null; oldestAge: number | null };
  batches: { rate: number | null; writesMean: number | null; reasons: Record<string, number> | null };
  operations: { reads: Operations; writes: Operations; bulkWrite: Quantiles };
  /** Resident bytes, one for each process that told them. */
  memory: { api: number[]; writer: number[]; emulator: number[]; mongodb: number[] };
  deadLetters: { sent: number | null; waiting: number | null };
  refused: Refusals[] | null;
  burst: Burst | null;
}

interface Refusals {
  code: string;
  total: number;
  rate: number;
}

export interface Operations {
  active: number | null;
  /** The most that all processes together allow themselves. */
  limit: number | null;
  /** What MongoDB gives out, where it tells. */
  tickets: number | null;
}

/** The samples of all processes of a part, put together. */
export interface Figures {
  now: Sample;
  /** Since the frame before; undefined for the first one. */
  grown: Sample | undefined;
}

export interface FrameInput {
  at: number;
  /** Between the samples that `grown` compares. */
  seconds: number;
  api: Figures;
  writer: Figures;
  emulator: Sample;
  documents: number | null;
  mongodb: MongoDbStatus;
  burst: Burst | null;
}

/** All but the parts, which parts.ts judges. */
export function createFrame(input: FrameInput): Omit<Frame, 'parts'> {
  const { api, writer, emulator, mongodb, seconds } = input;
  const rate = ({ grown }: Figures, name: string) => (grown ? divide(total(grown, name), seconds) : null);
  const quantiles = ({ grown }: Figures, name: string, labels?: Record<string, string>): Quantiles => {
    const of = (share: number) => (grown ? quantile(grown, name, share, labels) : null);
    return { p50: of(0.5), p95: of(0.95), p99: of(0.99) };
  };
  const ofSubscription = (name: string, subscription: string) => {
    const found = emulator.get(name)?.find(({ labels }) => labels.subscription?.endsWith(`/${subscription}`));
    return found?.value ?? null;
  };
  const batches = writer.grown;
  return {
    at: input.at,
    requests: {
      rate: rate(api, 'api_requests_total'),
      inFlight: total(api.now, 'api_requests_in_flight'),
      latency: quantiles(api, 'api_http_request_duration_seconds'),
    },
    confirmed: {
      rate: rate(api, 'api_writes_confirmed_total'),
      latency: quantiles(api, 'api_publish_duration_seconds'),
    },
    stored: { rate: rate(writer, 'writer_writes_inserted_total'), documents: input.documents },
    backlog: {
      unacked: ofSubscription('pubsub_emulator_unacked_messages', names.subscription),
      leased: ofSubscription('pubsub_emulator_outstanding_messages', names.subscription),
      oldestAge: ofSubscription('pubsub_emulator_oldest_unacked_seconds', names.subscription),
    },
    batches: {
      rate: rate(writer, 'writer_batch_writes_count'),
      writesMean: batches
        ? divide(total(batches, 'writer_batch_writes_sum'), total(batches, 'writer_batch_writes_count'))
        : null,
      reasons: writer.now.size === 0 ? null : totalsBy(writer.now, 'writer_batches_total', 'reason'),
    },
    operations: {
      reads: {
        active: total(api.now, 'api_mongodb_operations'),
        limit: total(api.now, 'api_mongodb_operations_limit'),
        tickets: mongodb.readTickets,
      },
      writes: {
        active: total(writer.now, 'writer_mongodb_operations'),
        limit: total(writer.now, 'writer_mongodb_operations_limit'),
        tickets: mongodb.writeTickets,
      },
      bulkWrite: quantiles(writer, 'writer_bulk_write_duration_seconds'),
    },
    memory: {
      api: residentBytes(api.now),
      writer: residentBytes(writer.now),
      emulator: residentBytes(emulator),
      mongodb: mongodb.residentBytes === null ? [] : [mongodb.residentBytes],
    },
    deadLetters: {
      sent: total(writer.now, 'writer_envelopes_total', { outcome: 'dead_letter' }),
      waiting: ofSubscription('pubsub_emulator_unacked_messages', names.deadLetterSubscription),
    },
    refused: refusals(api, seconds),
    burst: input.burst,
  };
}

function divide(dividend: number | null, divisor: number | null): number | null {
  return dividend === null || !divisor ? null : dividend / divisor;
}

function residentBytes(sample: Sample): number[] {
  return (sample.get('process_resident_memory_bytes') ?? []).map(({ value }) => value);
}

/** Every code is told from 0 on; shown are those that came. */
function refusals({ now, grown }: Figures, seconds: number): Refusals[] {
  const rates = grown ? totalsBy(grown, 'api_requests_refused_total', 'code') : {};
  return Object.entries(totalsBy(now, 'api_requests_refused_total', 'code'))
    .filter(([, count]) => count > 0)
    .map(([code, count]) => ({ code, total: count, rate: (rates[code] ?? 0) / seconds }))
    .sort((a, b) => b.total - a.total);
}
