/** Who takes messages from a subscription: a stream, a waiting pull or a push endpoint. Fronts make them. */
import type { Lease } from './lease.ts';

export interface Consumer {
  /** How long its leases last. */
  ackDeadlineMs(): number;
  /** It takes the next of an ordering key only when the one before is acked. */
  readonly takesOnePerKey?: boolean;
  /** It is answered when it is full, and so takes until then once it is its turn. */
  readonly takesUntilFull?: boolean;
  /** Whether it takes a message of that size now. It is asked again after `Subscription.wake()`. */
  wants(bytes: number): boolean;
  /** The bytes are only there during the call. */
  take(lease: Lease, buffer: Buffer, start: number, end: number): void;
  /** Nothing more follows for now: what was taken should leave. */
  flush(): void;
  /** There is nothing for it now, and it took nothing. */
  idle(): void;
  /** A lease of its ended: acked, nacked or past its deadline. */
  released(lease: Lease): void;
  /** One of those goes on: it was extended after its deadline, before anybody got its message again. */
  retaken?(lease: Lease): void;
  /** The subscription is gone, detached, or cannot be read. */
  fail(error: Error): void;
}
