import assert from 'node:assert/strict';
import type { Check, Feature } from '../check.ts';
import { refuses, textsOf } from '../expect.ts';
import type { Place } from '../place.ts';
import { sources } from '../sources.ts';

/** By their texts. */
const attributes: Record<string, Record<string, string>> = {
  none: {},
  red: { color: 'red' },
  blue: { color: 'blue', size: 'xl' },
  empty: { color: '' },
  quoted: { 'iana.org/language_tag': 'en', color: 'a "b"' },
};
const all = Object.keys(attributes);

const filters: [filter: string, delivered: string[]][] = [
  ['attributes:color', ['red', 'blue', 'empty', 'quoted']],
  ['attributes.color = "red"', ['red']],
  ['attributes.color="red"', ['red']],
  ['attributes.color != "red"', ['none', 'blue', 'empty', 'quoted']],
  ['attributes.color = ""', ['empty']],
  ['hasPrefix(attributes.color, "b")', ['blue']],
  ['NOT attributes:color', ['none']],
  ['-attributes:color', ['none']],
  ['attributes:color AND attributes.size = "xl"', ['blue']],
  ['attributes.color = "red" OR attributes.color = "blue"', ['red', 'blue']],
  ['attributes:color AND NOT (attributes.color = "red" OR attributes:size)', ['empty', 'quoted']],
  ['attributes:"iana.org/language_tag"', ['quoted']],
  ['attributes.color = "a \\"b\\""', ['quoted']],
];

const malformed: [filter: string, text: string][] = [
  ['nonsense', 'Invalid filter: nonsense was not expected at position 0.'],
  ['attributes:a AND', 'Invalid filter: the end was not expected at position 16.'],
  ['(attributes:a', 'Invalid filter: the end was not expected at position 13.'],
  ['attributes.a = b', 'Invalid filter: b was not expected at position 15.'],
  [
    'attributes:a AND attributes:b OR attributes:c',
    'Invalid filter: AND and OR need parentheses to be combined, at position 30.',
  ],
  ['attributes:a and attributes:b', 'Invalid filter: and was not expected at position 13.'],
];

async function publishAll(place: Place, filter: string): Promise<string> {
  const { topic, subscription } = await place.subscribe({ filter });
  await place.publish(
    topic,
    ...all.map((text) => ({ data: Buffer.from(text), attributes: attributes[text] ?? null })),
  );
  return subscription;
}

const enforced = filters.map(
  ([filter, delivered]): Check => ({
    name: `delivers what ${filter.replaceAll('|', '\\|')} lets through`,
    source: sources.filter,
    async run(place) {
      const subscription = await publishAll(place, filter);
      const received = await place.pullCount(subscription, delivered.length);
      assert.deepEqual(textsOf(received).sort(), [...delivered].sort());
      assert.deepEqual(await place.pullNow(subscription), []);
    },
    google: {
      does: 'stores the filter and delivers everything',
      async run(place) {
        const subscription = await publishAll(place, filter);
        const received = await place.pullCount(subscription, all.length);
        assert.deepEqual(textsOf(received).sort(), [...all].sort());
      },
    },
  }),
);

const refused = malformed.map(
  ([filter, text]): Check => ({
    name: `refuses the filter ${filter}`,
    source: sources.filter,
    run: (place) => refuses(place.subscribe({ filter }), 'INVALID_ARGUMENT', text).then(() => {}),
    google: {
      does: 'stores it',
      async run(place) {
        const { subscription } = await place.subscribe({ filter });
        assert.equal((await place.subscriber.getSubscription({ subscription })).filter, filter);
      },
    },
  }),
);

export const filter: Feature = {
  title: 'filters, the documented grammar',
  checks: [
    {
      name: 'shows the filter as it was set',
      source: sources.filter,
      async run(place) {
        const { subscription } = await place.subscribe({ filter: 'attributes:a' });
        assert.equal((await place.subscriber.getSubscription({ subscription })).filter, 'attributes:a');
      },
    },
    ...enforced,
    {
      name: 'takes white space alone as an empty filter',
      source: sources.filter,
      async run(place) {
        const subscription = await publishAll(place, ' \t\n ');
        const received = await place.pullCount(subscription, all.length);
        assert.deepEqual(textsOf(received).sort(), [...all].sort());
      },
    },
    ...refused,
  ],
};
