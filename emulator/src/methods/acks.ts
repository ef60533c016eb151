/** Acknowledge and ModifyAckDeadline, and the check of ack ids that streams share. */
import type { AckId } from '../broker/ack-id.ts';
import type { Broker } from '../broker/broker.ts';
import { invalid } from '../broker/errors.ts';
import { limits } from '../broker/limits.ts';
import type { AckOutcome, Subscription } from '../broker/subscription.ts';
import type { UnaryMethod } from './method.ts';
import { ackFailure } from './status.ts';
import { type AckRequest, ackIdText, readAckRequest } from './wire.ts';

const empty = Buffer.alloc(0);

/** @throws Refusal when one is of another subscription. One of another data folder is only unknown. */
export function checkAckIds(broker: Broker, subscription: Subscription, ids: readonly AckId[]): void {
  const { epochs } = broker.registry;
  const stray = ids.find((id) => id.subscription !== subscription.number && epochs.has(id.epoch));
  if (!stray) return;
  const owner = broker.registry.subscriptionsByNumber.get(stray.subscription)?.settings.name;
  if (!owner) throw invalid(`Invalid ack id (ack_id=${ackIdText(stray)})`);
  throw invalid(
    `Subscription ${subscription.settings.name} received an invalid ack ID ${ackIdText(stray)}, meant for subscription: ${owner}`,
  );
}

/** A modified ack deadline: pubsub.proto, ModifyAckDeadlineRequest. @throws Refusal */
export function checkDeadline(seconds: number): void {
  if (seconds < 0) throw invalid('Ack deadline cannot be negative');
  if (seconds > limits.ackDeadlineSecondsMax) {
    throw invalid(`Ack deadline cannot be more than ${limits.ackDeadlineSecondsMax} seconds`);
  }
}

export function acknowledge(broker: Broker): UnaryMethod {
  return async (bytes) => {
    const request = readAckRequest(bytes, 2);
    const subscription = subscriptionOf(broker, request, 'No ack ids specified.');
    const outcomes = subscription.acknowledge(request.ids);
    await ackCommitted(broker, subscription, request.ids, outcomes);
    return answer(subscription, request.ids, outcomes);
  };
}

export function modifyAckDeadline(broker: Broker): UnaryMethod {
  return async (bytes) => {
    const request = readAckRequest(bytes, 4);
    const subscription = subscriptionOf(broker, request, 'No ack ids specified');
    checkDeadline(request.deadlineSeconds);
    const deadlineMs = request.deadlineSeconds * 1_000;
    const outcomes = subscription.modifyDeadlines(request.ids, () => deadlineMs);
    await broker.acksCommitted();
    return answer(subscription, request.ids, outcomes);
  };
}

function subscriptionOf(broker: Broker, request: AckRequest, withoutIds: string): Subscription {
  const subscription = broker.subscriptions.get(request.subscription);
  if (request.ids.length === 0) throw invalid(withoutIds);
  checkAckIds(broker, subscription, request.ids);
  return subscription;
}

/** Resolves when the acks are on disk. Those that a full disk refuses may come again. @throws Refusal */
export async function ackCommitted(
  broker: Broker,
  subscription: Subscription,
  ids: readonly AckId[],
  outcomes: readonly AckOutcome[],
): Promise<void> {
  try {
    await broker.acksCommitted();
  } catch (error) {
    if (subscription.settings.isExactlyOnce) {
      subscription.ackRefused(ids.filter((_, position) => outcomes[position] === 'ok'));
    }
    throw error;
  }
}

function answer(subscription: Subscription, ids: readonly AckId[], outcomes: readonly AckOutcome[]): Buffer {
  if (!subscription.settings.isExactlyOnce) return empty;
  const reasons = new Map<string, string>();
  for (const [position, outcome] of outcomes.entries()) {
    const id = ids[position];
    if (outcome === 'ok' || !id) continue;
    reasons.set(ackIdText(id), failures[outcome]);
  }
  if (reasons.size > 0) throw ackFailure(reasons);
  return empty;
}

/** https://cloud.google.com/pubsub/docs/exactly-once-delivery: clients try transient ones again. */
const failures = {
  invalid: 'PERMANENT_FAILURE_INVALID_ACK_ID',
  unordered: 'TRANSIENT_FAILURE_UNORDERED_ACK_ID',
} as const;
