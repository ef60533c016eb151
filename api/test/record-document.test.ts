import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createRecord, decodeEnvelope, encodeEnvelope } from '../src/envelope.ts';
import { parseRecords } from '../src/record-document.ts';

function problemsOf(json: string): string[] {
  const parsed = parseRecords(JSON.parse(json));
  return 'problems' in parsed ? parsed.problems : [];
}

const refused: [string, string, RegExp][] = [
  ['no object', '"text"', /^body: wants an object/],
  ['null', 'null', /^body: wants an object/],
  ['an empty array', '[]', /1 to 100 objects, got 0/],
  ['101 objects', JSON.stringify(Array(101).fill({})), /got 101/],
  ['an array in an array', '[[]]', /^\[0\]: wants an object/],
  ['an _id', '[{}, {"_id": 1}]', /^\[1\]\._id: ids are made by the server/],
  ['an operator as a key', '{"a":{"$where":"1"}}', /^body\.a\.\$where: .*begin with \$/],
  ['the BSON library’s own key', '{"a":[{"_bsontype":"ObjectId"}]}', /^body\.a\[0\]\._bsontype: .*reserved/],
  ['a NUL in a key', '{"a\\u0000b":1}', /NUL/],
  ['half a surrogate pair', '{"a":"\\ud800"}', /^body\.a: .*surrogate/],
  ['half a surrogate pair in a key', '{"\\udfff":1}', /valid Unicode/],
  ['a number over all bounds', '{"a":1e999}', /^body\.a: .*64-bit/],
  ['a whole number that loses digits', '{"a":9007199254740993}', /^body\.a: .*lose digits/],
  ['nesting over the limit', `${'{"a":'.repeat(51)}{}${'}'.repeat(51)}`, /at most 50 levels/],
];
for (const [what, json, message] of refused) {
  test(`refuses ${what} and says where`, () => assert.match(problemsOf(json).join('\n'), message));
}

test('takes an object, an array of 1 and of 100, and nesting at the limit', () => {
  assert.deepEqual(problemsOf('{"a":1}'), []);
  assert.deepEqual(problemsOf('[{}]'), []);
  assert.deepEqual(problemsOf(JSON.stringify(Array(100).fill({ a: 1 }))), []);
  assert.deepEqual(problemsOf(`${'{"a":'.repeat(49)}1${'}'.repeat(49)}`), []);
});

test('lists at most 20 problems of a body that has many', () => {
  assert.equal(problemsOf(JSON.stringify(Array(100).fill({ _id: 1 }))).length, 20);
});

test('what is taken comes out of an envelope as it went in', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
      const document = JSON.parse(JSON.stringify(value));
      const parsed = parseRecords(document);
      if ('problems' in parsed) return;
      const [decoded] = decodeEnvelope(encodeEnvelope([createRecord(document, new Date())]));
      assert.ok(decoded?.type === 'record');
      assert.equal(JSON.stringify(decoded.document), JSON.stringify(document));
    }),
    { numRuns: 2_000 },
  );
});
