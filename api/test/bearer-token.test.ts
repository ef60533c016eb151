import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { needs } from '../../test/programs.ts';
import { request } from '../../test/requests.ts';
import { type System, startSystem } from '../../test/system.ts';

const token = 'b3f1c2d4e5a697887960514233241506';

describe('an api with API_TOKEN', needs('mongodb'), () => {
  let system: System;
  let url: string;

  before(async () => {
    system = await startSystem({ API_TOKEN: token });
    url = system.api.url;
  });
  after(() => system.stop());

  const post = (headers: Record<string, string>, body = '{"a":1}') =>
    request(`${url}/api/records`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body,
    });

  const wrong: [string, string | undefined, string][] = [
    ['no token', undefined, 'Bearer realm="assessment"'],
    ['another one', `Bearer ${token.replace('b', 'c')}`, 'Bearer realm="assessment", error="invalid_token"'],
    [
      'the beginning of it',
      `Bearer ${token.slice(0, -1)}`,
      'Bearer realm="assessment", error="invalid_token"',
    ],
    ['more than it', `Bearer ${token}0`, 'Bearer realm="assessment", error="invalid_token"'],
    ['an empty one', 'Bearer ', 'Bearer realm="assessment"'],
    ['another scheme', `Basic ${token}`, 'Bearer realm="assessment"'],
    ['no scheme', token, 'Bearer realm="assessment"'],
    ['two tokens', `Bearer ${token} ${token}`, 'Bearer realm="assessment"'],
  ];
  for (const [what, authorization, challenge] of wrong) {
    test(`refuses writes with ${what} with 401, and says what it wants`, async () => {
      const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
      const answers = [await request(`${url}/api/data`, { headers }), await post(headers)];
      for (const answer of answers) {
        assert.equal(answer.status, 401);
        assert.equal(answer.body.status, 'error');
        assert.equal(answer.body.code, 'unauthorized');
        assert.equal(answer.headers.get('www-authenticate'), challenge);
      }
    });
  }

  test('refuses before it looks at a body', async () => {
    assert.equal((await post({}, '{')).status, 401);
    assert.equal((await post({}, 'x'.repeat(300_000))).status, 401);
  });

  test('takes writes with the token, whatever the case of its scheme', async () => {
    for (const scheme of ['Bearer', 'bearer', 'BEARER']) {
      const headers = { authorization: `${scheme} ${token}` };
      assert.equal((await request(`${url}/api/data`, { headers })).status, 200);
      assert.equal((await post(headers)).status, 202);
    }
  });

  test('leaves what only reads to everybody', async () => {
    for (const path of ['/healthz', '/servez', '/readyz', '/api/stats']) {
      assert.equal((await request(url + path)).status, 200, path);
    }
    assert.equal((await request(`${url}/api/records/${'0'.repeat(24)}`)).status, 404);
  });

  test('writes the token to no log', () => {
    assert.doesNotMatch(system.api.output() + system.writer.output(), new RegExp(token));
  });
});
