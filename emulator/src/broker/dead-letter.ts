/** https://cloud.google.com/pubsub/docs/handling-failures#dead_letter_topic */
import { type NewMessage, readPublishTime, withoutBrokerFields } from './message.ts';
import { idOf, projectOf } from './names.ts';

/** The message as the dead-letter topic gets it: its own fields, and where it comes from as attributes. */
export function deadLetter(
  message: NewMessage,
  from: { subscription: string; attempts: number },
): NewMessage {
  const { buffer, start, end } = message;
  return withoutBrokerFields(buffer, start, end, [
    ['CloudPubSubDeadLetterSourceSubscription', idOf(from.subscription)],
    ['CloudPubSubDeadLetterSourceSubscriptionProject', projectOf(from.subscription)],
    ['CloudPubSubDeadLetterSourceDeliveryCount', String(from.attempts)],
    ['CloudPubSubDeadLetterSourceTopicPublishTime', readPublishTime(buffer, start, end).toISOString()],
  ]);
}
