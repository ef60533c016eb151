import assert from 'node:assert/strict';
import type { Check, Feature } from '../check.ts';
import { endsWith, missing, refuses, takes, textsOf } from '../expect.ts';
import type { Place } from '../place.ts';
import type { PullStream, StreamRequest } from '../pull-stream.ts';
import { sources } from '../sources.ts';

/** Requests that end a stream, after a good first one where `first` is not set. */
const badRequests: { what: string; first?: StreamRequest; next?: StreamRequest; text: string }[] = [
  {
    what: 'a first request without a subscription',
    first: { subscription: '' },
    text: 'first message must set subscription',
  },
  {
    what: 'a first request without an ack deadline',
    first: { streamAckDeadlineSeconds: 0 },
    text: 'first message must set stream_ack_deadline_seconds',
  },
  {
    what: 'an ack deadline of 9 s',
    first: { streamAckDeadlineSeconds: 9 },
    text: 'stream_ack_deadline_seconds must be between 10 and 600 seconds',
  },
  {
    what: 'an ack deadline of 601 s',
    first: { streamAckDeadlineSeconds: 601 },
    text: 'stream_ack_deadline_seconds must be between 10 and 600 seconds',
  },
  {
    what: 'a subscription in a later request',
    next: { subscription: 'projects/other/subscriptions/other' },
    text: 'subscription may only be set in first message',
  },
  {
    what: 'fewer ack ids than deadlines',
    next: { modifyDeadlineSeconds: [10] },
    text: 'ack IDs and deadlines must have the same size',
  },
  {
    what: 'a malformed ack id',
    next: { ackIds: ['garbage'] },
    text: 'Invalid ack id (ack_id=garbage)',
  },
];

const refusedStreams = badRequests.map(
  ({ what, first, next, text }): Check => ({
    name: `ends a stream with INVALID_ARGUMENT for ${what}`,
    source: sources.stream,
    async run(place) {
      const { subscription } = await place.subscribe();
      const stream = place.stream(subscription, first);
      if (next) stream.write(next);
      endsWith(await stream.ended, 'INVALID_ARGUMENT', text);
    },
  }),
);

/** Opens streams, a few at a time: other checks, whose time counts, run in this process too. */
async function openStreams(
  place: Place,
  subscription: string,
  count: number,
  onOpen: (streams: PullStream[]) => void,
): Promise<void> {
  const atOnce = 50;
  for (let opened = 0; opened < count; opened += atOnce) {
    const streams = Array.from({ length: atOnce }, () => place.stream(subscription));
    // Before that grpc-js has sent nothing, and would send no cancellation either.
    await new Promise(setImmediate);
    onOpen(streams);
    await place.publisher.listTopics({ project: place.project });
  }
}

export const streamingPull: Feature = {
  title: 'StreamingPull',
  checks: [
    {
      name: 'delivers what is there and what comes',
      source: sources.stream,
      async run(place) {
        const { topic, subscription } = await place.subscribe();
        await place.publish(topic, 'a');
        const stream = place.stream(subscription);
        await stream.take(1);
        await place.publish(topic, 'b');
        assert.deepEqual(textsOf(await stream.take(2)), ['a', 'b']);
      },
    },
    {
      name: 'takes acks on the stream, of messages that came elsewhere too',
      source: sources.stream,
      async run(place) {
        const { topic, subscription } = await place.subscribe();
        await place.publish(topic, 'a');
        const pulled = await place.pull(subscription);
        await place.publish(topic, 'b');
        const stream = place.stream(subscription);
        const received = await stream.take(1);
        stream.ack(...pulled, ...received);
        stream.halfClose();
        assert.equal(await stream.ended, undefined);
        await place.nack(subscription, ...pulled, ...received);
        assert.deepEqual(await place.pullNow(subscription), []);
      },
    },
    {
      name: 'redelivers what is nacked on the stream',
      source: sources.stream,
      async run(place) {
        const { topic, subscription } = await place.subscribe();
        await place.publish(topic, 'x');
        const stream = place.stream(subscription);
        stream.nack(...(await stream.take(1)));
        assert.deepEqual(textsOf(await stream.take(2)), ['x', 'x']);
      },
    },
    {
      name: 'redelivers to the next stream what is nacked right before its own stream ends',
      source: sources.modifyAckDeadline,
      async run(place) {
        const { topic, subscription } = await place.subscribe();
        await place.publish(topic, 'x');
        for (let round = 0; round < 5; round++) {
          const closing = place.stream(subscription);
          await place.nack(subscription, ...(await closing.take(1)));
          closing.halfClose();
          await closing.ended;
        }
        await place.stream(subscription).take(1);
      },
      google: {
        does: 'redelivers it 3 to 50 ms later: now and then to the stream that ends, where it stays until its deadline',
        async run(place) {
          const { topic, subscription } = await place.subscribe();
          await place.publish(topic, 'x');
          const stream = place.stream(subscription);
          await place.nack(subscription, ...(await stream.take(1)));
          await stream.take(2);
        },
      },
    },
    {
      name: 'redelivers to the next stream at once what its own stream has not confirmed when it ends',
      source: sources.readme,
      async run(place) {
        const { topic, subscription } = await place.subscribe();
        await place.publish(topic, 'read', 'unread');
        const closing = place.stream(subscription);
        const received = await closing.take(2);
        const read = received.filter((one) => textsOf([one])[0] === 'read');
        await place.modify(subscription, 60, ...read);
        closing.halfClose();
        await closing.ended;
        const stream = place.stream(subscription);
        assert.deepEqual(textsOf(await stream.take(1)), ['unread']);
        await place.nack(subscription, ...read);
        assert.deepEqual(textsOf(await stream.take(2)), ['unread', 'read']);
      },
      google: {
        does: 'keeps it until its deadline',
        async run(place) {
          const { topic, subscription } = await place.subscribe();
          await place.publish(topic, 'unread');
          const closing = place.stream(subscription, { streamAckDeadlineSeconds: 10 });
          await closing.take(1);
          closing.halfClose();
          await closing.ended;
          const next = place.stream(subscription);
          await takes([5_000, 20_000], () => next.take(1));
        },
      },
    },
    {
      name: 'shares messages out between two streams, and gives none to both',
      source: sources.pull,
      async run(place) {
        const { topic, subscription } = await place.subscribe();
        const streams = [place.stream(subscription), place.stream(subscription)];
        const texts = Array.from({ length: 200 }, (_, number) => `${number}`);
        await place.publish(topic, ...texts);
        const all = () => streams.flatMap(({ received }) => textsOf(received));
        await Promise.race(
          streams.map((stream) => stream.until('200 messages', () => all().length >= texts.length)),
        );
        assert.deepEqual(all().sort(), texts.sort());
      },
    },
    {
      name: 'tells the properties of the subscription',
      source: sources.stream,
      async run(place) {
        const settings = { enableMessageOrdering: true, enableExactlyOnceDelivery: true };
        const { topic, subscription } = await place.subscribe(settings);
        await place.publish(topic, 'x');
        const stream = place.stream(subscription);
        await stream.take(1);
        const shown = stream.responses.findLast((response) => response.subscriptionProperties);
        assert.equal(shown?.subscriptionProperties?.messageOrderingEnabled, true);
        assert.equal(shown?.subscriptionProperties?.exactlyOnceDeliveryEnabled, true);
      },
    },
    {
      name: 'ends with OK when the client has ended its side',
      source: sources.stream,
      async run(place) {
        const { subscription } = await place.subscribe();
        const stream = place.stream(subscription);
        stream.halfClose();
        assert.equal(await stream.ended, undefined);
      },
    },
    {
      name: 'ends with NOT_FOUND for a missing subscription, and when it is deleted',
      source: sources.errors,
      async run(place) {
        const none = place.stream(place.subscriptionName('none'));
        endsWith(await none.ended, 'NOT_FOUND', missing);
        const { topic, subscription } = await place.subscribe();
        const stream = place.stream(subscription);
        await place.publish(topic, 'x');
        await stream.take(1);
        await place.subscriber.deleteSubscription({ subscription });
        endsWith(await stream.ended, 'NOT_FOUND', missing);
        await refuses(place.pullNow(subscription), 'NOT_FOUND', missing);
      },
    },
    {
      name: 'goes on after 4,000 streams of the same connection were opened and cancelled',
      source: sources.cancellation,
      async run(place) {
        const { topic, subscription } = await place.subscribe();
        const stream = place.stream(subscription);
        await openStreams(place, place.subscriptionName('none'), 4_000, (opened) => {
          for (const one of opened) one.cancel();
        });
        await place.publish(topic, 'x');
        await stream.take(1);
      },
    },
    {
      name: 'answers other calls of a connection that has 1,300 streams',
      source: sources.concurrentStreams,
      // One of its own: so many streams take a core of Google's.
      starts: true,
      async run(place) {
        const there = place.at((await place.start()).host);
        const { topic, subscription } = await there.subscribe();
        const streams: PullStream[] = [];
        await openStreams(there, subscription, 1_300, (opened) => streams.push(...opened));
        await there.publish(topic, 'x');
        const received = streams.map((stream) => stream.take(1));
        await Promise.any(received);
        there.close();
        await Promise.allSettled(received);
      },
    },
    {
      name: 'answers every keepalive of protocol version 1, also one that sets the deadline',
      source: sources.keepalive,
      async run(place) {
        const { subscription } = await place.subscribe();
        const stream = place.stream(subscription, { protocolVersion: 1 });
        for (const keepalive of [{}, { streamAckDeadlineSeconds: 20 }]) {
          const before = stream.responses.length;
          stream.write(keepalive);
          await stream.until('an answer to a keepalive', () => stream.responses.length > before);
        }
      },
      google: {
        does: 'answers none',
        async run(place) {
          const { topic, subscription } = await place.subscribe();
          const stream = place.stream(subscription, { protocolVersion: 1 });
          for (const keepalive of [{}, { streamAckDeadlineSeconds: 20 }]) stream.write(keepalive);
          await place.publish(topic, 'x');
          await stream.take(1);
          assert.equal(stream.responses.length, 1);
        },
      },
    },
    ...refusedStreams,
    {
      name: 'ends a stream with INVALID_ARGUMENT for a deadline of more than 600 s',
      source: sources.modifyAckDeadline,
      async run(place) {
        const { topic, subscription } = await place.subscribe();
        await place.publish(topic, 'x');
        const stream = place.stream(subscription);
        const [received] = await stream.take(1);
        stream.write({ modifyDeadlineAckIds: [received?.ackId ?? ''], modifyDeadlineSeconds: [601] });
        endsWith(await stream.ended, 'INVALID_ARGUMENT', 'Ack deadline cannot be more than 600 seconds');
      },
      google: {
        does: 'accepts 601',
        async run(place) {
          const { topic, subscription } = await place.subscribe();
          await place.publish(topic, 'x');
          const stream = place.stream(subscription);
          const [received] = await stream.take(1);
          stream.write({ modifyDeadlineAckIds: [received?.ackId ?? ''], modifyDeadlineSeconds: [601] });
          await place.publish(topic, 'y');
          await stream.take(2);
        },
      },
    },
    {
      name: 'ends a stream with INVALID_ARGUMENT for a negative deadline',
      source: sources.stream,
      async run(place) {
        const { topic, subscription } = await place.subscribe();
        await place.publish(topic, 'x');
        const stream = place.stream(subscription);
        const [received] = await stream.take(1);
        stream.write({ modifyDeadlineAckIds: [received?.ackId ?? ''], modifyDeadlineSeconds: [-1] });
        endsWith(await stream.ended, 'INVALID_ARGUMENT', 'Ack deadline cannot be negative');
      },
    },
  ],
};
