import assert from 'node:assert/strict';
import type { Check, Feature } from '../check.ts';
import { endsWith } from '../expect.ts';
import type { Place } from '../place.ts';
import { ackIdsOf, type StreamRequest } from '../pull-stream.ts';
import { sources } from '../sources.ts';

const count = 20;
const messageBytes = 3_000;

/** A stream under `flow` with 20 messages before it. */
async function arrange(place: Place, flow: StreamRequest) {
  const { topic, subscription } = await place.subscribe({ ackDeadlineSeconds: 60 });
  const data = Buffer.alloc(messageBytes, 'x');
  await place.publish(topic, ...Array.from({ length: count }, () => ({ data })));
  return { topic, subscription, stream: place.stream(subscription, flow) };
}

const takesAll = (flow: StreamRequest) => async (place: Place) => {
  const { stream } = await arrange(place, flow);
  await stream.take(count);
};

/** The stream has `held` outstanding, and the rest is there for others. */
const holds = (flow: StreamRequest, held: number) => async (place: Place) => {
  const { subscription, stream } = await arrange(place, flow);
  await stream.take(held);
  assert.equal((await place.pullCount(subscription, count - held)).length, count - held);
  assert.equal(stream.received.length, held);
};

const ignored = { does: 'ignores the limit: all 20 come' };

const later: [what: string, request: StreamRequest][] = [
  ['max_outstanding_messages', { maxOutstandingMessages: 10 }],
  ['max_outstanding_bytes', { maxOutstandingBytes: 10 }],
];

export const flowControl: Feature = {
  title: 'flow control of streams: messages, bytes, deadline',
  checks: [
    {
      name: 'leaves no more messages outstanding than a stream allows',
      source: sources.flowControl,
      run: holds({ maxOutstandingMessages: 5 }, 5),
      google: { ...ignored, run: takesAll({ maxOutstandingMessages: 5 }) },
    },
    {
      name: 'goes on with as many as were acked or nacked',
      source: sources.flowControl,
      async run(place) {
        const { subscription, stream } = await arrange(place, { maxOutstandingMessages: 5 });
        const [first, second] = await stream.take(5);
        stream.ack(...(first ? [first] : []));
        await stream.take(6);
        stream.nack(...(second ? [second] : []));
        await stream.take(7);
        // One is acked and five are outstanding.
        assert.equal((await place.pullCount(subscription, count - 6)).length, count - 6);
        assert.equal(stream.received.length, 7);
      },
      google: { ...ignored, run: takesAll({ maxOutstandingMessages: 5 }) },
    },
    {
      name: 'leaves no more bytes outstanding than a stream allows',
      source: sources.flowControl,
      run: holds({ maxOutstandingBytes: 7_000 }, 2),
      google: { ...ignored, run: takesAll({ maxOutstandingBytes: 7_000 }) },
    },
    {
      name: 'delivers a message that is larger than the limit of bytes, alone',
      source: sources.flowControl,
      run: holds({ maxOutstandingBytes: 1_000 }, 1),
      google: { ...ignored, run: takesAll({ maxOutstandingBytes: 1_000 }) },
    },
    {
      name: 'takes a limit of 0 or less as none',
      source: sources.flowControl,
      async run(place) {
        const flow = { maxOutstandingMessages: -1, maxOutstandingBytes: -1 };
        await takesAll(flow)(place);
      },
    },
    ...later.map(
      ([what, request]): Check => ({
        name: `ends a stream with INVALID_ARGUMENT for ${what} in a later request`,
        source: sources.flowControl,
        async run(place) {
          const { stream } = await arrange(place, { maxOutstandingMessages: 5 });
          await stream.take(5);
          stream.write(request);
          const text = `${what} may only be set in first message`;
          endsWith(await stream.ended, 'INVALID_ARGUMENT', text);
        },
        google: {
          does: 'ignores it',
          async run(place) {
            const { topic, stream } = await arrange(place, {});
            await stream.take(count);
            stream.write(request);
            await place.publish(topic, 'more');
            await stream.take(count + 1);
          },
        },
      }),
    ),
    {
      name: 'changes the ack deadline of a stream on its way',
      source: sources.stream,
      async run(place) {
        const { topic, subscription } = await place.subscribe({ ackDeadlineSeconds: 60 });
        const stream = place.stream(subscription, { streamAckDeadlineSeconds: 60 });
        await place.publish(topic, 'a');
        const first = await stream.take(1);
        // With a nack, whose redelivery tells that the request was read before the next publish.
        stream.write({
          streamAckDeadlineSeconds: 10,
          modifyDeadlineAckIds: ackIdsOf(first),
          modifyDeadlineSeconds: [0],
        });
        const [, again] = await stream.take(2);
        if (again) stream.ack(again);
        await place.publish(topic, 'b');
        await stream.take(4);
      },
    },
  ],
};
