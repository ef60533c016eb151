/** The limits of the service, each with its source, and those of this emulator, each with its reason. */

/**
 * Limits of the real service, from https://cloud.google.com/pubsub/quotas#resource_limits. There MB is decimal, KiB and
 * bytes are exact.
 */
export const limits = {
  messagesPerPublish: 1_000,
  /**
   * Of a publish request: 10 MB. The service says 'The value for request_size is too large … the maximum value is
   * 10000000': https://github.com/googleapis/google-cloud-python/issues/5898. A message has no limit below that.
   */
  publishBytes: 10_000_000,
  attributesPerMessage: 100,
  attributeKeyBytes: 256,
  attributeValueBytes: 1_024,
  /** Documented as 1 KB, https://cloud.google.com/pubsub/docs/ordering; the larger reading refuses no good key. */
  orderingKeyBytes: 1_024,
  ackDeadlineSecondsMin: 10,
  ackDeadlineSecondsMax: 600,
  retentionSecondsMin: 600,
  /** 31 days, of a topic and of a subscription. */
  retentionSecondsMax: 2_678_400,
  /** A subscription's default: 7 days. */
  retentionSecondsDefault: 604_800,
  /** A day; the default is 31 days. */
  expirationSecondsMin: 86_400,
  expirationSecondsDefault: 2_678_400,
  backoffSecondsMax: 600,
  backoffSecondsMinDefault: 10,
  backoffSecondsMaxDefault: 600,
  deliveryAttemptsMin: 5,
  deliveryAttemptsMax: 100,
  deliveryAttemptsDefault: 5,
  topicsPerProject: 10_000,
  subscriptionsPerProject: 10_000,
  subscriptionsPerTopic: 10_000,
  snapshotsPerProject: 5_000,
  snapshotSeconds: 604_800,
  /** One that would expire sooner is refused: https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.snapshots */
  snapshotSecondsMin: 3_600,
  filterBytes: 256,
  labelsPerResource: 64,
  pageSize: 1_000,
  pullMessages: 1_000,
  /** Of Acknowledge, ModifyAckDeadline and StreamingPull's requests: "512 KiB (524288 bytes)". */
  ackRequestBytes: 524_288,
} as const;

/** Bounds of this emulator's own memory. */
export const bounds = {
  /**
   * Messages of one subscription in memory: leased, waiting for their retry, or held behind their ordering key.
   * About 250 bytes each. When they are reached nothing more is handed out until one is done: acked, dead-lettered or
   * too old.
   */
  leasesPerSubscription: 100_000,
  leasesPerBroker: 400_000,
  /** When the broker has more, those of a subscription from which nobody takes are backlog again. */
  leasesPerBrokerAtRest: 200_000,
  /** Of a subscription: acks that a full disk refused, to be confirmed when they come again. About 120 bytes each. */
  refusedAcks: 10_000,
  /**
   * Of a subscription with ordering: acks from before a restart whose message was not read again yet. About 40 bytes
   * each. More are not taken, and those messages are delivered again.
   */
  lateAcks: 10_000,
  /** Of a Pull, which is kept while it waits: a name and two numbers. */
  pullRequestBytes: 4_096,
  /** What one commit holds, unless one publish is larger; what is over waits for the next. */
  commitBytes: 4 * 1024 * 1024,
  /** Publishes that wait for the next commit; over it RESOURCE_EXHAUSTED. */
  waitingPublishBytes: 48 * 1024 * 1024,
} as const;
