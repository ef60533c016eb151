import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError, type FailureCode } from '@assessment/api/errors';
import { classifyAnswer } from '../outcome.js';

const ofCode = (code: FailureCode) => {
  const error = new ApiError(code, '');
  return classifyAnswer(error.status, JSON.parse(error.body));
};

test('an answer is confirmed only with status 200 and "success"', () => {
  assert.equal(classifyAnswer(200, { status: 'success' }), 'confirmed');
  assert.equal(classifyAnswer(200, { status: 'error' }), 'unknown');
  assert.equal(classifyAnswer(200, undefined), 'unknown');
  assert.equal(classifyAnswer(202, { status: 'success' }), 'unknown');
  assert.equal(classifyAnswer(503, { status: 'success' }), 'unknown');
});

test('a refusal that promises that nothing was published is refused', () => {
  for (const code of [
    'overloaded',
    'draining',
    'publish_not_sent',
    'not_found',
    'invalid_request',
  ] as const) {
    assert.equal(ofCode(code), 'refused', code);
  }
});

test('a failure that leaves it open is unknown', () => {
  for (const code of ['publish_unconfirmed', 'internal', 'database_unavailable'] as const) {
    assert.equal(ofCode(code), 'unknown', code);
  }
  assert.equal(classifyAnswer(503, undefined), 'unknown');
  assert.equal(classifyAnswer(502, null), 'unknown');
  assert.equal(classifyAnswer(500, { code: 'overloaded' }), 'unknown');
  assert.equal(classifyAnswer(0, undefined), 'unknown');
});
