import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError, type FailureCode } from '../src/errors.ts';
import { keyedIds } from '../src/idempotency-key.ts';
import { createKeyedRequests, type KeyedRequest } from '../src/keyed-requests.ts';

const nothingStored = async () => [];

function createRequest(key: string, write: KeyedRequest['write'] = async () => {}): KeyedRequest {
  return {
    ids: keyedIds(key, '', 2),
    fingerprint: 'a',
    isSame: () => true,
    write,
    describe: (timestamp) => `${key} ${timestamp.toISOString()}`.padEnd(600),
  };
}

const fail = (code: FailureCode) => async () => {
  throw new ApiError(code, 'It failed.');
};

test('keeps answers up to a bound in bytes, and lets the oldest go first', async () => {
  // An answer takes 400 bytes and its body's 600.
  for (const [bytesMax, replayed] of [
    [3_000, [true, true, true]],
    [2_999, [false, true, true]],
    [1_000, [false, false, true]],
    [999, [false, false, false]],
  ] as const) {
    const requests = createKeyedRequests({ findStored: nothingStored, bytesMax });
    for (const key of ['1', '2', '3']) await requests.answer(createRequest(key));
    // From the newest on, because an answer that is not kept is written again, and takes the place of another.
    const newest = await requests.answer(createRequest('3'));
    const middle = await requests.answer(createRequest('2'));
    const oldest = await requests.answer(createRequest('1'));
    assert.deepEqual([oldest.isReplayed, middle.isReplayed, newest.isReplayed], replayed, String(bytesMax));
  }
});

test('publishes an unconfirmed request again with the time of the first', async () => {
  const requests = createKeyedRequests({ findStored: nothingStored, bytesMax: 10_000 });
  const times: Date[] = [];
  const failing = createRequest('1', async (timestamp) => {
    times.push(timestamp);
    await fail('publish_unconfirmed')();
  });
  await assert.rejects(requests.answer(failing), { code: 'publish_unconfirmed' });
  await assert.rejects(requests.answer(failing), { code: 'publish_unconfirmed' });
  const { body, isReplayed } = await requests.answer(createRequest('1'));
  assert.equal(isReplayed, false);
  assert.equal(times[1], times[0]);
  assert.ok(body.includes(times[0]?.toISOString() ?? '-'));
});

test('keeps the body of an unconfirmed request, and forgets that of one that was not published', async () => {
  const requests = createKeyedRequests({ findStored: nothingStored, bytesMax: 10_000 });
  for (const [code, status] of [
    ['overloaded', 'answered'],
    ['publish_not_sent', 'answered'],
    ['publish_unconfirmed', 'refused'],
  ] as const) {
    await assert.rejects(requests.answer(createRequest(code, fail(code))), { code });
    const another = requests.answer({ ...createRequest(code), fingerprint: 'b' });
    if (status === 'answered') await another;
    else await assert.rejects(another, { code: 'idempotency_key_reused' });
  }
});

test('a request that was unconfirmed once stays so when its repeat is not published', async () => {
  const requests = createKeyedRequests({ findStored: nothingStored, bytesMax: 10_000 });
  await assert.rejects(requests.answer(createRequest('1', fail('publish_unconfirmed'))));
  await assert.rejects(requests.answer(createRequest('1', fail('overloaded'))), { code: 'overloaded' });
  const another = requests.answer({ ...createRequest('1'), fingerprint: 'b' });
  await assert.rejects(another, { code: 'idempotency_key_reused' });
});
