import assert from 'node:assert/strict';
import type { Feature } from '../check.ts';
import { refuses, textsOf } from '../expect.ts';
import type { Place } from '../place.ts';
import type { Received } from '../pull-stream.ts';
import { sources } from '../sources.ts';

async function arrange(place: Place, ...texts: string[]) {
  const { topic, subscription } = await place.subscribe({ enableExactlyOnceDelivery: true });
  await place.publish(topic, ...texts);
  return { topic, subscription };
}

/** The refusal names each ack id that failed, and why: https://cloud.google.com/pubsub/docs/exactly-once-delivery */
async function refusesAck(
  answer: Promise<unknown>,
  failed: Received[],
  good: Received[] = [],
): Promise<void> {
  const { metadata } = await refuses(answer, 'INVALID_ARGUMENT', '');
  const details = String(metadata.get('grpc-status-details-bin')[0]);
  assert.match(details, /EXACTLY_ONCE_ACKID_FAILURE/);
  assert.match(details, /pubsub\.googleapis\.com/);
  assert.match(details, /PERMANENT_FAILURE_INVALID_ACK_ID/);
  for (const { ackId } of failed) assert.ok(details.includes(ackId ?? ''), `${ackId} is not named`);
  for (const { ackId } of good) assert.ok(!details.includes(ackId ?? ''), `${ackId} is named`);
}

export const exactlyOnce: Feature = {
  title: 'exactly-once delivery, unary and on streams',
  checks: [
    {
      name: 'answers OK to the ack and the modified deadline of an outstanding message',
      source: sources.exactlyOnce,
      async run(place) {
        const { subscription } = await arrange(place, 'x');
        const received = await place.pull(subscription);
        await place.modify(subscription, 20, ...received);
        await place.ack(subscription, ...received);
        assert.deepEqual(await place.pullNow(subscription), []);
      },
    },
    {
      name: 'refuses the ack and the modified deadline of an acked message',
      source: sources.exactlyOnce,
      async run(place) {
        const { subscription } = await arrange(place, 'x');
        const received = await place.pull(subscription);
        await place.ack(subscription, ...received);
        await refusesAck(place.ack(subscription, ...received), received);
        await refusesAck(place.modify(subscription, 20, ...received), received);
      },
    },
    {
      name: 'refuses the ack of a delivery that a later one replaced, and keeps the message',
      source: sources.exactlyOnce,
      async run(place) {
        const { subscription } = await arrange(place, 'x');
        const first = await place.pull(subscription);
        await place.nack(subscription, ...first);
        const second = await place.pull(subscription);
        await refusesAck(place.ack(subscription, ...first), first);
        await place.nack(subscription, ...second);
        assert.deepEqual(textsOf(await place.pull(subscription)), ['x']);
      },
    },
    {
      name: 'acks the good ids of a request that has a bad one',
      source: sources.exactlyOnce,
      async run(place) {
        const { subscription } = await arrange(place, 'a', 'b');
        const [a, b] = (await place.pullCount(subscription, 2)) as [Received, Received];
        await place.ack(subscription, a);
        await refusesAck(place.ack(subscription, a, b), [a], [b]);
        await refusesAck(place.ack(subscription, b), [b]);
      },
    },
    {
      name: 'refuses the ack of a message that a seek purged',
      source: sources.exactlyOnce,
      async run(place) {
        const { subscription } = await arrange(place, 'x');
        const received = await place.pull(subscription);
        await place.subscriber.seek({ subscription, time: { seconds: Math.floor(Date.now() / 1_000) + 60 } });
        await refusesAck(place.ack(subscription, ...received), received);
      },
    },
    {
      name: 'refuses a malformed ack id by name',
      source: sources.exactlyOnce,
      async run(place) {
        const { subscription } = await arrange(place, 'x');
        const answer = place.ack(subscription, { ackId: 'garbage' });
        await refuses(answer, 'INVALID_ARGUMENT', 'Invalid ack id (ack_id=garbage)');
      },
    },
    {
      name: 'refuses for now the ack of a message with an earlier one of its ordering key unacked',
      source: sources.exactlyOnce,
      async run(place) {
        const settings = { enableExactlyOnceDelivery: true, enableMessageOrdering: true };
        const { topic, subscription } = await place.subscribe(settings);
        await place.publishOrdered(topic, 'A', 'A0', 'A1');
        const [first, second] = (await place.pullCount(subscription, 2)) as [Received, Received];
        const { metadata } = await refuses(place.ack(subscription, second), 'INVALID_ARGUMENT', '');
        const details = String(metadata.get('grpc-status-details-bin')[0]);
        assert.match(details, /TRANSIENT_FAILURE_UNORDERED_ACK_ID/);
        assert.ok(details.includes(second.ackId ?? ''));
        await place.ack(subscription, first);
        await place.ack(subscription, second);
      },
    },
    {
      name: 'confirms the acks on a stream',
      source: sources.exactlyOnce,
      async run(place) {
        const { subscription } = await arrange(place, 'x');
        const stream = place.stream(subscription);
        const [received] = await stream.take(1);
        const confirmed = () => stream.responses.flatMap((one) => one.acknowledgeConfirmation?.ackIds ?? []);
        stream.write({ ackIds: [received?.ackId ?? ''] });
        await stream.until('a confirmation', () => confirmed().length > 0);
        assert.deepEqual(confirmed(), [received?.ackId]);
        const refused = () =>
          stream.responses.flatMap((one) => one.acknowledgeConfirmation?.invalidAckIds ?? []);
        stream.write({ ackIds: [received?.ackId ?? ''] });
        await stream.until('a refusal', () => refused().length > 0);
        assert.deepEqual(refused(), [received?.ackId]);
      },
      google: {
        does: 'never confirms an ack on a stream',
        async run(place) {
          const { topic, subscription } = await arrange(place, 'x');
          const stream = place.stream(subscription);
          stream.ack(...(await stream.take(1)));
          await place.publish(topic, 'y');
          await stream.take(2);
          for (const { acknowledgeConfirmation } of stream.responses) {
            assert.deepEqual(acknowledgeConfirmation?.ackIds ?? [], []);
          }
        },
      },
    },
    {
      name: 'confirms modified deadlines on a stream',
      source: sources.exactlyOnce,
      async run(place) {
        const { subscription } = await arrange(place, 'x');
        const stream = place.stream(subscription);
        const [received] = await stream.take(1);
        const confirmed = () =>
          stream.responses.flatMap((one) => one.modifyAckDeadlineConfirmation?.ackIds ?? []);
        stream.write({ modifyDeadlineAckIds: [received?.ackId ?? ''], modifyDeadlineSeconds: [30] });
        await stream.until('a confirmation', () => confirmed().length > 0);
        assert.deepEqual(confirmed(), [received?.ackId]);
      },
      google: {
        does: 'never confirms a deadline on a stream',
        async run(place) {
          const { topic, subscription } = await arrange(place, 'x');
          const stream = place.stream(subscription);
          const [received] = await stream.take(1);
          stream.write({ modifyDeadlineAckIds: [received?.ackId ?? ''], modifyDeadlineSeconds: [30] });
          await place.publish(topic, 'y');
          await stream.take(2);
          for (const { modifyAckDeadlineConfirmation } of stream.responses) {
            assert.deepEqual(modifyAckDeadlineConfirmation?.ackIds ?? [], []);
          }
        },
      },
    },
  ],
};
