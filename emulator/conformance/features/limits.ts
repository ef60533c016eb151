import assert from 'node:assert/strict';
import pubsub from '@google-cloud/pubsub/build/protos/protos.js';
import type { Check, Feature } from '../check.ts';
import { refuses } from '../expect.ts';
import type { NewMessage, Place, SubscriptionSettings } from '../place.ts';
import { sources } from '../sources.ts';

const { AcknowledgeRequest, PublishRequest } = pubsub.google.pubsub.v1;

const accepted = 'accepts it';
const publishBytesMax = 10_000_000;

/** A publish request of exactly `bytes`. */
async function publishBytes(place: Place, bytes: number, timeoutMs?: number): Promise<Buffer> {
  const topic = place.topicName();
  const request = (length: number) =>
    PublishRequest.encode({ topic, messages: [{ data: Buffer.alloc(length, 'x') }] }).finish();
  const overhead = request(bytes - 200).length - (bytes - 200);
  const encoded = request(bytes - overhead);
  assert.equal(encoded.length, bytes);
  return await place.client.call('/google.pubsub.v1.Publisher/Publish', encoded, timeoutMs);
}

const attributes = (count: number) =>
  Object.fromEntries(Array.from({ length: count }, (_, number) => [`key-${number}`, 'x']));

const keyChecks: Check[] = ['Google', 'GOOG', 'googclient_schemaencoding'].map((key) => ({
  name: `refuses the attribute key ${key}, which begins with goog`,
  source: sources.attributes,
  async run(place) {
    const topic = await place.createTopic();
    await place.publish(topic, { attributes: { googclient_traceparent: 'x', googclient_tracestate: 'x' } });
    const text = `An attribute key must not begin with goog: ${key}`;
    await refuses(place.publish(topic, { attributes: { [key]: 'x' } }), 'INVALID_ARGUMENT', text);
  },
  google: {
    does: accepted,
    async run(place) {
      const topic = await place.createTopic();
      assert.equal((await place.publish(topic, { attributes: { [key]: 'x' } })).length, 1);
    },
  },
}));

interface MessageLimit {
  what: string;
  allowed: NewMessage;
  over: NewMessage;
  text: string;
}

const data = Buffer.from('x');
const messageLimits: MessageLimit[] = [
  {
    what: '100 attributes',
    allowed: { attributes: attributes(100) },
    over: { attributes: attributes(101) },
    text: 'A message has 101 attributes; at most 100 are allowed.',
  },
  {
    what: 'an attribute key of 256 bytes',
    allowed: { attributes: { ['é'.repeat(128)]: 'x' } },
    over: { attributes: { [`${'é'.repeat(128)}x`]: 'x' } },
    text: 'An attribute key has 257 bytes; at most 256 are allowed.',
  },
  {
    what: 'an attribute value of 1,024 bytes',
    allowed: { attributes: { key: 'x'.repeat(1_024) } },
    over: { attributes: { key: 'x'.repeat(1_025) } },
    text: 'An attribute value has 1025 bytes; at most 1024 are allowed.',
  },
  {
    what: 'an ordering key of 1,024 bytes',
    allowed: { data, orderingKey: 'x'.repeat(1_024) },
    over: { data, orderingKey: 'x'.repeat(1_025) },
    text: 'An ordering key has 1025 bytes; at most 1024 are allowed.',
  },
  {
    what: 'an attribute key that begins with go, but not with goog,',
    allowed: { attributes: { go: 'x' } },
    over: { attributes: { google: 'x' } },
    text: 'An attribute key must not begin with goog: google',
  },
  {
    what: 'an attribute key of one byte, but not an empty one,',
    allowed: { attributes: { k: 'x' } },
    over: { attributes: { '': 'x' } },
    text: 'An attribute key is empty.',
  },
];

function messageCheck({ what, allowed, over, text }: MessageLimit): Check {
  return {
    name: `takes ${what} of a message, and refuses more`,
    source: sources.quotas,
    async run(place) {
      const topic = await place.createTopic();
      assert.equal((await place.publish(topic, allowed)).length, 1);
      await refuses(place.publish(topic, over), 'INVALID_ARGUMENT', text);
    },
    google: {
      does: accepted,
      async run(place) {
        const topic = await place.createTopic();
        assert.equal((await place.publish(topic, over)).length, 1);
      },
    },
  };
}

interface SettingLimit {
  what: string;
  setting: (value: number) => SubscriptionSettings;
  allowed: number[];
  /** With what Google's emulator says too. */
  refused: number[];
  /** What Google's emulator refuses of the allowed ones, and accepts of the refused. */
  googleRefuses?: number[];
  googleAccepts?: number[];
  text: string | RegExp;
  code?: 'INVALID_ARGUMENT' | 'OUT_OF_RANGE';
  source: string;
}

const duration = (seconds: number) => ({ seconds });
const settingLimits: SettingLimit[] = [
  {
    what: 'an ack deadline of 10 to 600 s',
    setting: (ackDeadlineSeconds) => ({ ackDeadlineSeconds }),
    allowed: [10, 600],
    refused: [9, 601, -1],
    googleAccepts: [9],
    text: 'ack_deadline_secs out of bounds',
    source: sources.subscription,
  },
  {
    what: 'a message retention of 10 minutes to 31 days',
    setting: (seconds) => ({ messageRetentionDuration: duration(seconds), expirationPolicy: {} }),
    allowed: [600, 604_800, 2_678_400],
    refused: [599, 2_678_401],
    googleRefuses: [2_678_400],
    text: 'message_retention_duration out of bounds',
    source: sources.subscription,
  },
  {
    what: 'a minimum backoff of 0 to 600 s',
    setting: (seconds) => ({ retryPolicy: { minimumBackoff: duration(seconds) } }),
    allowed: [0, 600],
    refused: [601],
    text: 'The value for minimum_backoff is out of bounds. You passed 601s in the request, but the value must be between 0s and 600s.',
    source: sources.retryPolicy,
  },
  {
    what: 'a maximum backoff of 0 to 600 s',
    setting: (seconds) => ({
      retryPolicy: { minimumBackoff: duration(0), maximumBackoff: duration(seconds) },
    }),
    allowed: [0, 600],
    refused: [601],
    text: 'The value for maximum_backoff is out of bounds. You passed 601s in the request, but the value must be between 0s and 600s.',
    source: sources.retryPolicy,
  },
  {
    what: 'a maximum backoff that is not below the minimum',
    setting: (seconds) => ({
      retryPolicy: { minimumBackoff: duration(20), maximumBackoff: duration(seconds) },
    }),
    allowed: [20],
    refused: [10],
    text: 'The value for maximum_backoff is too small. You passed 10s in the request, but the minimum value is 20s.',
    source: sources.retryPolicy,
  },
];

function settingCheck(limit: SettingLimit): Check {
  const { what, setting, allowed, refused, text, googleRefuses = [], googleAccepts = [] } = limit;
  async function prove(place: Place, good: number[], bad: number[]): Promise<void> {
    const topic = await place.createTopic();
    for (const value of good) await place.createSubscription(topic, `good${value}`, setting(value));
    for (const value of bad) {
      const answer = place.createSubscription(topic, `bad${value}`, setting(value));
      await refuses(answer, limit.code ?? 'INVALID_ARGUMENT', text);
    }
  }
  const check: Check = {
    name: `takes ${what}, and refuses what is beyond`,
    source: limit.source,
    run: (place) => prove(place, allowed, refused),
  };
  if (googleRefuses.length + googleAccepts.length === 0) return check;
  const does = [
    ...googleRefuses.map((value) => `refuses ${value}`),
    ...googleAccepts.map((value) => `accepts ${value}`),
  ].join(', ');
  const good = [...allowed.filter((value) => !googleRefuses.includes(value)), ...googleAccepts];
  const bad = [...refused.filter((value) => !googleAccepts.includes(value)), ...googleRefuses];
  return { ...check, google: { does, run: (place) => prove(place, good, bad) } };
}

const requests: Check[] = [
  {
    name: 'takes 1,000 messages in a publish, and refuses 1,001',
    source: sources.quotas,
    async run(place) {
      const topic = await place.createTopic();
      const messages = (count: number) => Array.from({ length: count }, () => 'x');
      assert.equal((await place.publish(topic, ...messages(1_000))).length, 1_000);
      await refuses(
        place.publish(topic, ...messages(1_001)),
        'INVALID_ARGUMENT',
        'Too many messages to publish',
      );
    },
  },
  {
    name: 'takes a publish of 10,000,000 bytes, and refuses one of a byte more at once',
    source: sources.quotas,
    async run(place) {
      await place.createTopic();
      await publishBytes(place, publishBytesMax);
      const text =
        'The value for request_size is too large. You passed 10000001 in the request, but the maximum value is 10000000.';
      await refuses(publishBytes(place, publishBytesMax + 1), 'INVALID_ARGUMENT', text);
    },
    google: {
      does: 'takes up to 11,000,000 bytes, and never answers a larger one',
      async run(place) {
        await place.createTopic();
        await publishBytes(place, publishBytesMax);
        await publishBytes(place, publishBytesMax + 1);
        await refuses(publishBytes(place, 11_000_001, 5_000), 'DEADLINE_EXCEEDED', /./);
      },
    },
  },
  {
    name: 'takes acks in a request of 512 KiB, and refuses more',
    source: sources.quotas,
    async run(place) {
      const { idsMax, acknowledge } = await arrangeAcks(place);
      await refuses(
        acknowledge(idsMax + 1),
        'INVALID_ARGUMENT',
        'Request payload size exceeds the limit: 524288 bytes.',
      );
      await acknowledge(idsMax);
    },
    google: {
      does: accepted,
      async run(place) {
        const { idsMax, acknowledge } = await arrangeAcks(place);
        await acknowledge(idsMax + 1);
      },
    },
  },
  {
    name: 'gives at most max_messages to a Pull',
    source: sources.pullRequest,
    async run(place) {
      const { topic, subscription } = await place.subscribe();
      await place.publish(topic, ...Array.from({ length: 30 }, (_, number) => `${number}`));
      assert.equal((await place.pull(subscription, 7)).length, 7);
      assert.equal((await place.pullCount(subscription, 23)).length, 23);
      assert.deepEqual(await place.pullNow(subscription), []);
    },
  },
];

async function arrangeAcks(place: Place) {
  const { topic, subscription } = await place.subscribe();
  await place.publish(topic, 'x');
  const [received] = await place.pull(subscription);
  const request = (count: number) => {
    const ackIds = Array.from({ length: count }, () => received?.ackId ?? '');
    return AcknowledgeRequest.encode({ subscription, ackIds }).finish();
  };
  const perId = request(1).length - request(0).length;
  const idsMax = Math.floor((512 * 1024 - request(0).length) / perId);
  const acknowledge = (count: number) =>
    place.client.call('/google.pubsub.v1.Subscriber/Acknowledge', request(count));
  return { idsMax, acknowledge };
}

const labels = (count: number) =>
  Object.fromEntries(Array.from({ length: count }, (_, number) => [`key-${number}`, 'x']));

const labelLimits: Check[] = [
  {
    name: 'takes 64 labels of a topic and of a subscription, and refuses 65',
    source: sources.labels,
    async run(place) {
      await place.subscribe({ labels: labels(64) }, { labels: labels(64) });
      const text = 'Too many labels: 65; at most 64 are allowed.';
      await refuses(place.createTopic('more', { labels: labels(65) }), 'INVALID_ARGUMENT', text);
      const answer = place.createSubscription(place.topicName(), 'more', { labels: labels(65) });
      await refuses(answer, 'INVALID_ARGUMENT', text);
    },
    google: {
      does: accepted,
      async run(place) {
        await place.subscribe({ labels: labels(65) }, { labels: labels(65) });
      },
    },
  },
  {
    name: 'takes labels of 63 characters, and refuses longer ones and other characters',
    source: sources.labels,
    async run(place) {
      await place.createTopic('topic', { labels: { ['k'.repeat(63)]: 'v'.repeat(63), key: '' } });
      for (const [key, value, text] of [
        ['k'.repeat(64), 'v', `Invalid label key: ${'k'.repeat(64)}`],
        ['key', 'v'.repeat(64), `Invalid label value: ${'v'.repeat(64)}`],
        ['Bad Key!', 'v', 'Invalid label key: Bad Key!'],
        ['key', 'V V', 'Invalid label value: V V'],
      ] as const) {
        const answer = place.createTopic('other', { labels: { [key]: value } });
        await refuses(answer, 'INVALID_ARGUMENT', text);
      }
    },
    google: {
      does: 'stores any, unchecked',
      async run(place) {
        const topic = await place.createTopic('topic', { labels: { 'Bad Key!': 'V V' } });
        assert.deepEqual({ ...(await place.publisher.getTopic({ topic })).labels }, { 'Bad Key!': 'V V' });
      },
    },
  },
];

const topicRetention: Check = {
  name: 'takes a message retention of a topic of 10 minutes to 31 days, and refuses what is beyond',
  source: sources.topic,
  async run(place) {
    for (const seconds of [600, 2_678_400]) {
      await place.createTopic(`good${seconds}`, { messageRetentionDuration: { seconds } });
    }
    for (const seconds of [599, 2_678_401]) {
      const answer = place.createTopic(`bad${seconds}`, { messageRetentionDuration: { seconds } });
      await refuses(answer, 'INVALID_ARGUMENT', 'message_retention_duration out of bounds');
    }
  },
};

const deliveryAttempts: Check = {
  name: 'takes 5 to 100 delivery attempts before the dead-letter topic, and refuses 4 and 101',
  source: sources.deadLetterPolicy,
  async run(place) {
    const deadLetterTopic = await place.createTopic();
    const create = (maxDeliveryAttempts: number) =>
      place.createSubscription(deadLetterTopic, `attempts${maxDeliveryAttempts}`, {
        deadLetterPolicy: { deadLetterTopic, maxDeliveryAttempts },
      });
    for (const count of [5, 100]) await create(count);
    await refuses(
      create(4),
      'OUT_OF_RANGE',
      'The value for max_delivery_attempts is too small. You passed 4 in the request, but the minimum value is 5.',
    );
    await refuses(
      create(101),
      'OUT_OF_RANGE',
      'The value for max_delivery_attempts is too large. You passed 101 in the request, but the maximum value is 100.',
    );
  },
};

const filterBytes: Check = {
  name: 'takes a filter of 256 bytes, and refuses one of 257',
  source: sources.filter,
  async run(place) {
    const filter = (bytes: number) => `attributes.key="${'x'.repeat(bytes - 17)}"`;
    await place.subscribe({ filter: filter(256) });
    await refuses(
      place.createSubscription(place.topicName(), 'long', { filter: filter(257) }),
      'INVALID_ARGUMENT',
      'The filter has 257 bytes; at most 256 are allowed.',
    );
  },
  google: {
    does: accepted,
    async run(place) {
      await place.subscribe({ filter: `attributes.key="${'x'.repeat(300)}"` });
    },
  },
};

export const limits: Feature = {
  title: "the service's limits, each at and beyond",
  checks: [
    ...requests,
    ...messageLimits.map(messageCheck),
    ...keyChecks,
    ...settingLimits.map(settingCheck),
    topicRetention,
    deliveryAttempts,
    filterBytes,
    ...labelLimits,
  ],
};
