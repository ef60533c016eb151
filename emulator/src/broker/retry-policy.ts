/** https://cloud.google.com/pubsub/docs/handling-failures#exponential_backoff */
export interface RetryPolicy {
  minimumBackoffMs: number;
  maximumBackoffMs: number;
}

/** How long a message waits after its `attempts`-th delivery failed: doubled each time, within the policy's bounds. */
export function backoffMs(policy: RetryPolicy | undefined, attempts: number): number {
  if (!policy) return 0;
  const doubled = policy.minimumBackoffMs * 2 ** Math.min(Math.max(attempts - 1, 0), 30);
  return Math.min(doubled, policy.maximumBackoffMs);
}
