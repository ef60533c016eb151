import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createRecord, decodeEnvelope, encodeEnvelope } from '../src/envelope.ts';
import { walkJson } from '../src/json-text.ts';
import { parseRecords } from '../src/record-document.ts';

function problemsOf(json: string): string[] {
  const parsed = parseRecords(json);
  return 'problems' in parsed ? parsed.problems : [];
}

const exact = /: must be a number that 64-bit floating point holds exactly; send it as a string$/;

const refused: [string, string, RegExp][] = [
  ['what is no JSON', '{"a":', /^body: must be valid JSON$/],
  ['no object', '"text"', /^body: must be an object$/],
  ['null', 'null', /^body: must be an object$/],
  ['an empty array', '[]', /1 to 100 objects, got 0/],
  ['101 objects', JSON.stringify(Array(101).fill({})), /got 101/],
  ['an array in an array', '[[]]', /^\[0\]: must be an object$/],
  ['an _id', '[{}, {"_id": 1}]', /^\[1\]\._id: must be left out/],
  ['an operator as a key', '{"a":{"$where":"1"}}', /^body\.a\.\$where: .*begin with \$/],
  ['the BSON library’s own key', '{"a":[{"_bsontype":"ObjectId"}]}', /^body\.a\[0\]\._bsontype: .*reserved/],
  ['a NUL in a key', '{"a\\u0000b":1}', /NUL/],
  ['half a surrogate pair', '{"a":"\\ud800"}', /^body\.a: .*surrogate/],
  ['half a surrogate pair in a key', '{"\\udfff":1}', /valid Unicode/],
  ['a number over all bounds', '{"a":1e400}', exact],
  ['a number below all bounds', '{"a":4e-400}', exact],
  ['a whole number that loses its last digit', '{"a":9007199254740993}', exact],
  ['a whole number that JSON would print in another way', '{"a":10000000000000000000001}', exact],
  ['a fraction that is lost', '{"a":4503599627370497.3}', exact],
  ['more digits than a double has', '{"a":0.1000000000000000055}', exact],
  ['a number of 200,000 digits', `{"a":1.${'0'.repeat(200_000)}1}`, exact],
  ['an exponent that is no double', `{"a":1e${'9'.repeat(400)}}`, exact],
  [
    'a bad number in its place',
    '[{"a":1},{"a":{"b":[1,2,{"c":[0.5,1e309]}]}}]',
    /^\[1\]\.a\.b\[2\]\.c\[1\]: must be a number/,
  ],
  ['a repeated key', '{"a":1,"b":2,"a":3}', /^body\.a: must not be repeated/],
  ['a repeated key of the same value', '{"a":1,"a":1}', /^body\.a: must not be repeated/],
  ['a key that is repeated with an escape', '{"a":1,"\\u0061":1}', /^body\.a: must not be repeated/],
  ['a repeated key in its place', '[{"x":[{"a":{},"a":{}}]}]', /^\[0\]\.x\[0\]\.a: must not be repeated/],
  ['a repeated __proto__', '{"__proto__":1,"__proto__":2}', /^body\.__proto__: must not be repeated/],
  ['nesting over the limit', `${'{"a":'.repeat(51)}{}${'}'.repeat(51)}`, /at most 50 levels/],
  [
    'nesting under a key that is repeated',
    `{"a":${'['.repeat(60)}${']'.repeat(60)},"a":1}`,
    /at most 50 levels/,
  ],
  ['nesting that fills the body', `{"a":${'['.repeat(131_000)}${']'.repeat(131_000)}}`, /at most 50 levels/],
];
for (const [what, json, message] of refused) {
  test(`refuses ${what} and says where`, () => assert.match(problemsOf(json).join('\n'), message));
}

test('takes an object, an array of 1 and of 100, and nesting at the limit', () => {
  assert.deepEqual(problemsOf('{"a":1}'), []);
  assert.deepEqual(problemsOf('[{}]'), []);
  assert.deepEqual(problemsOf(JSON.stringify(Array(100).fill({ a: 1 }))), []);
  assert.deepEqual(problemsOf(`${'{"a":'.repeat(49)}{}${'}'.repeat(49)}`), []);
  assert.deepEqual(problemsOf(`[${'{"a":'.repeat(49)}{}${'}'.repeat(49)}]`), []);
});

test('takes every number whose decimal value is read back, however it is written', () => {
  const numbers = [
    '0',
    '-0',
    '-0.0',
    '0e999999999',
    '1.10',
    '1e2',
    '1E+2',
    '100e-2',
    '0.1',
    '0.30000000000000004',
  ];
  numbers.push('9007199254740992', '18014398509481984', '123456789012345680000', '1e21', '1e23', '5e-324');
  numbers.push('1.7976931348623157e308', '2251799813685249.5', '0.000001', '-1.5e-7');
  assert.deepEqual(problemsOf(`{"a":[${numbers}]}`), []);
});

test('takes the same key in different objects, and what looks like a number or a key in a text', () => {
  assert.deepEqual(problemsOf('[{"a":{"a":[{"a":1},{"a":1}]}},{"a":1}]'), []);
  assert.deepEqual(problemsOf('{"a":"1e400,\\"a\\":[{","b":"\\\\","c":" \\" \\\\\\" }"}'), []);
});

test('what is found in the text is what its values say, for any JSON', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.nat(3), (value, space) => {
      const text = JSON.stringify({ value }, null, space);
      const keys: string[] = [];
      const numbers: number[] = [];
      walkJson(text, {
        open: () => true,
        key: (key, isRepeated) => keys.push(isRepeated ? 'repeated' : key),
        escapedText() {},
        number: (source) => numbers.push(Number(source)),
      });
      const [keysWanted, numbersWanted]: [string[], number[]] = [[], []];
      JSON.stringify({ value }, function (key, one) {
        if (typeof one === 'number') numbersWanted.push(one);
        if (!Array.isArray(this)) keysWanted.push(key);
        return one;
      });
      assert.deepEqual(keys, keysWanted.slice(1));
      assert.deepEqual(numbers.map(String), numbersWanted.map(String));
    }),
    { numRuns: 2_000 },
  );
});

test('lists at most 20 problems of a body that has many', () => {
  assert.equal(problemsOf(JSON.stringify(Array(100).fill({ _id: 1 }))).length, 20);
});

test('what is taken comes out of an envelope as it went in', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
      const document = JSON.parse(JSON.stringify(value));
      const parsed = parseRecords(JSON.stringify(value));
      if ('problems' in parsed) return;
      const [decoded] = decodeEnvelope(encodeEnvelope([createRecord(document, new Date())]));
      assert.ok(decoded?.type === 'record');
      assert.equal(JSON.stringify(decoded.document), JSON.stringify(document));
    }),
    { numRuns: 2_000 },
  );
});
