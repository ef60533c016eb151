/** An envelope that no BSON library would make, because it would have to call itself for each level. */
import { createRecord, encodeEnvelope } from '@assessment/api/envelope';

/** `{ a: { a: … } }`, which takes 7 bytes before and 1 byte after what it holds, around an empty document of 5. */
function nest(levels: number): Buffer {
  const bytes = Buffer.alloc(5 + levels * 8);
  for (let level = 0; level < levels; level++) {
    bytes.writeInt32LE(bytes.length - level * 8, level * 7);
    bytes.write('\u0003a\0', level * 7 + 4, 'latin1');
  }
  bytes.writeInt32LE(5, levels * 7);
  return bytes;
}

/** A record whose document has so many levels, in place of one that has none. */
export function encodeDeepEnvelope(levels: number): Buffer {
  const shallow = encodeEnvelope([createRecord({}, new Date())]);
  const document = nest(levels);
  const name = shallow.indexOf('\u0003document\0');
  const at = name + '\u0003document\0'.length;
  const bytes = Buffer.concat([shallow.subarray(0, at), document, shallow.subarray(at + 5)]);
  // The lengths of what it lies in: the envelope, its array, and the record, behind the names `records` and `0`.
  const array = shallow.indexOf('\u0004records\0') + '\u0004records\0'.length;
  const record = shallow.indexOf('\u00030\0') + '\u00030\0'.length;
  for (const start of [0, array, record]) {
    bytes.writeInt32LE(shallow.readInt32LE(start) + document.length - 5, start);
  }
  return bytes;
}
