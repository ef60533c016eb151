/** How every process reaches Pub/Sub: the real one, or the emulator that PUBSUB_EMULATOR_HOST names. */
import { PubSub, type Topic } from '@google-cloud/pubsub';
import { limitConnectTime } from './connect-limit.ts';

/** Bytes of an attribute's value, https://docs.cloud.google.com/pubsub/quotas#resource_limits */
export const attributeBytesMax = 1_024;

/** gRPC status codes, https://grpc.io/docs/guides/status-codes/, that a later try may pass. */
const retryCodes = [
  1, // CANCELLED: a connection closed under the call
  4, // DEADLINE_EXCEEDED
  8, // RESOURCE_EXHAUSTED: quota, or an emulator's disk is full
  10, // ABORTED
  13, // INTERNAL: a stream was reset
  14, // UNAVAILABLE
];

/**
 * A connection that goes silent, without a reset, is given up after 15 s; by the client's default it is after 320 s. While
 * calls are under way the broker is pinged, and a connection that does not answer is replaced.
 *
 * Without calls there are no pings (`grpc.keepalive_permit_without_calls` stays off), because servers close a connection
 * for them, and the first call pings at once. While a call is under way, servers close the connection at the third ping
 * since they last sent something, as Google's emulator does
 * (https://github.com/grpc/proposal/blob/master/A8-client-side-keepalive.md#server-enforcement). Only the writer's stream is
 * quiet for so long, so the writer asks for an answer in time (its subscriber.ts).
 */
export const keepalive = { timeMs: 10_000, timeoutMs: 5_000 };

/** `PUBSUB_EMULATOR_HOST` has to be in this process's environment too: the client itself looks there. */
export function createPubSub(
  config: { PUBSUB_PROJECT_ID: string; PUBSUB_EMULATOR_HOST?: string | undefined },
  { timeMs, timeoutMs } = keepalive,
): PubSub {
  // With an emulator the client would still ask for Google's metadata server, and wait for it.
  if (config.PUBSUB_EMULATOR_HOST) process.env.METADATA_SERVER_DETECTION = 'none';
  limitConnectTime();
  const channelOptions = {
    // grpc-js waits up to 2 minutes between attempts to reconnect; a broker that is back is back within a second.
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 1_000,
    'grpc.keepalive_time_ms': timeMs,
    'grpc.keepalive_timeout_ms': timeoutMs,
  };
  return new PubSub({ projectId: config.PUBSUB_PROJECT_ID, ...channelOptions });
}

/**
 * A topic whose publishMessage sends one message in one call at once, retried until `timeoutMs` are over.
 * The client's own batching is off: publisher.ts groups writes into messages, which saves more.
 */
export function openTopic(pubsub: PubSub, name: string, { timeoutMs }: { timeoutMs: number }): Topic {
  return pubsub.topic(name, {
    batching: { maxMessages: 1 },
    gaxOpts: {
      retry: {
        retryCodes,
        backoffSettings: {
          initialRetryDelayMillis: 50,
          retryDelayMultiplier: 2,
          maxRetryDelayMillis: 500,
          initialRpcTimeoutMillis: timeoutMs,
          rpcTimeoutMultiplier: 1,
          maxRpcTimeoutMillis: timeoutMs,
          totalTimeoutMillis: timeoutMs,
        },
      },
    },
  });
}
