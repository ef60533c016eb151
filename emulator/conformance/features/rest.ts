import assert from 'node:assert/strict';
import { Agent } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import type { Feature } from '../check.ts';
import type { Answer } from '../client.ts';
import { missing } from '../expect.ts';
import type { RawAnswer } from '../http-request.ts';
import type { Place } from '../place.ts';
import { sources } from '../sources.ts';

const topicPath = (place: Place) => `v1/${place.topicName()}`;
const subscriptionPath = (place: Place) => `v1/${place.subscriptionName()}`;

async function subscribe(place: Place): Promise<void> {
  await answers(place, `PUT ${topicPath(place)}`, {});
  await answers(place, `PUT ${subscriptionPath(place)}`, { topic: place.topicName() });
}

async function answers(place: Place, line: string, body?: unknown): Promise<Record<string, unknown>> {
  const { status, text, json } = await place.client.http(line, body);
  assert.equal(status, 200, text);
  return json;
}

function failsWith(
  { status, json, text }: Answer,
  code: number,
  name: string,
  message?: string | RegExp,
): void {
  assert.equal(status, code, text);
  const error = json.error as Record<string, unknown>;
  assert.deepEqual([error.code, error.status], [code, name]);
  if (message instanceof RegExp) assert.match(String(error.message), message);
  else if (message) assert.equal(error.message, message);
}

function throughProxy(place: Place, line: string, body?: unknown): Promise<RawAnswer> {
  const headers = { host: 'pubsub.test', 'proxy-connection': 'Keep-Alive' };
  return place.client.rawHttp(line, { headers, body });
}

/** As a browser asks for a page: first whether it may, then for the answer, which here is an error. */
async function allowedOrigin(place: Place, origin: string): Promise<string | undefined> {
  const { rawHttp } = place.client;
  const preflight = await rawHttp(`OPTIONS /${topicPath(place)}`, {
    headers: {
      origin,
      'access-control-request-method': 'PUT',
      'access-control-request-headers': 'content-type,x-goog-api-client',
    },
  });
  const { headers } = await rawHttp(`GET /${topicPath(place)}`, { headers: { origin } });
  const allowed = headers['access-control-allow-origin'];
  assert.equal(preflight.headers['access-control-allow-origin'], allowed);
  if (allowed === undefined) return undefined;
  assert.ok(preflight.status === 200 || preflight.status === 204);
  assert.match(String(preflight.headers['access-control-allow-methods']), /\bPUT\b/);
  assert.equal(preflight.headers['access-control-allow-headers'], 'content-type,x-goog-api-client');
  return allowed;
}

interface ReceivedJson {
  ackId: string;
  message: { data: string; attributes: object; messageId: string };
}

export const rest: Feature = {
  title: 'REST on the same port',
  checks: [
    {
      name: 'creates, gets, lists, updates and deletes a topic and a subscription',
      source: sources.rest,
      async run(place) {
        await subscribe(place);
        const topic = await answers(place, `GET ${topicPath(place)}`);
        assert.equal(topic.name, place.topicName());
        const list = await answers(place, `GET v1/${place.project}/subscriptions?pageSize=10`);
        assert.equal((list.subscriptions as unknown[]).length, 1);
        const updated = await answers(place, `PATCH ${subscriptionPath(place)}`, {
          subscription: { ackDeadlineSeconds: 33 },
          updateMask: 'ackDeadlineSeconds',
        });
        assert.equal(updated.ackDeadlineSeconds, 33);
        assert.equal(updated.messageRetentionDuration, '604800s');
        assert.deepEqual(await answers(place, `DELETE ${subscriptionPath(place)}`), {});
        assert.deepEqual(await answers(place, `DELETE ${topicPath(place)}`), {});
      },
    },
    {
      name: 'publishes, pulls and acks, with data in base64',
      source: sources.rest,
      async run(place) {
        await subscribe(place);
        const messages = [{ data: 'SGVsbG8=', attributes: { kind: 'test' } }];
        const published = await answers(place, `POST ${topicPath(place)}:publish`, { messages });
        const { receivedMessages } = await answers(place, `POST ${subscriptionPath(place)}:pull`, {
          maxMessages: 10,
        });
        const [received] = receivedMessages as ReceivedJson[];
        const { data, attributes, messageId } = received?.message ?? {};
        assert.deepEqual([data, attributes], ['SGVsbG8=', { kind: 'test' }]);
        assert.deepEqual([messageId], published.messageIds);
        const body = { ackIds: [received?.ackId] };
        assert.deepEqual(await answers(place, `POST ${subscriptionPath(place)}:acknowledge`, body), {});
        assert.deepEqual(await place.pullNow(place.subscriptionName()), []);
      },
    },
    {
      name: 'answers an error in JSON with the code of HTTP and the name of the status',
      source: sources.errors,
      async run(place) {
        const { http } = place.client;
        failsWith(await http(`GET ${topicPath(place)}`), 404, 'NOT_FOUND', missing);
        await subscribe(place);
        failsWith(await http(`PUT ${topicPath(place)}`, {}), 409, 'ALREADY_EXISTS', 'Topic already exists');
        failsWith(
          await http(`POST ${topicPath(place)}:publish`, { messages: [] }),
          400,
          'INVALID_ARGUMENT',
          'No messages to publish',
        );
      },
    },
    {
      name: 'refuses a body that is no JSON, and a field that is none',
      source: sources.rest,
      async run(place) {
        await subscribe(place);
        for (const body of ['{', { messages: [{ data: 'SGVsbG8=' }], color: 'red' }]) {
          const answer = await place.client.http(`POST ${topicPath(place)}:publish`, body);
          failsWith(answer, 400, 'INVALID_ARGUMENT');
        }
        assert.deepEqual(await place.pullNow(place.subscriptionName()), []);
      },
    },
    {
      name: 'answers 404 to a path that is none',
      source: sources.rest,
      async run(place) {
        assert.equal((await place.client.http('GET v1/nonsense')).status, 404);
      },
    },
    {
      name: 'answers a Pull that waits in vain within 60 s',
      source: sources.restPull,
      async run(place) {
        await subscribe(place);
        const pull = { maxMessages: 1 };
        const answer = await place.client.http(`POST ${subscriptionPath(place)}:pull`, pull, 60_000);
        assert.deepEqual([answer.status, answer.json], [200, {}]);
      },
      google: {
        does: 'answers after 89 s',
        async run(place) {
          await subscribe(place);
          const answer = place.client.http(
            `POST ${subscriptionPath(place)}:pull`,
            { maxMessages: 1 },
            60_000,
          );
          await assert.rejects(answer, { name: 'TimeoutError' });
        },
      },
    },
    {
      name: 'takes the absolute form of a request target, as curl sends it through a proxy',
      source: sources.absoluteForm,
      async run(place) {
        const { status, text } = await throughProxy(place, `PUT http://pubsub.test/${topicPath(place)}`, {});
        assert.equal(status, 200, text);
        assert.equal((await throughProxy(place, 'GET HTTP://pubsub.test')).text.trim(), 'Ok');
      },
      google: {
        does: 'answers 500',
        async run(place) {
          const line = `PUT http://pubsub.test/${topicPath(place)}`;
          assert.equal((await throughProxy(place, line, {})).status, 500);
        },
      },
    },
    {
      name: 'lets a web page of another port of this machine call it',
      source: sources.cors,
      async run(place) {
        for (const origin of ['http://localhost:3000', 'https://127.0.0.1', 'http://[::1]:5173']) {
          assert.equal(await allowedOrigin(place, origin), origin);
        }
      },
    },
    {
      name: 'lets no web page of another machine read its answers',
      source: sources.readme,
      async run(place) {
        for (const origin of ['https://pages.test', 'http://localhost.pages.test', 'null']) {
          assert.equal(await allowedOrigin(place, origin), undefined);
        }
      },
      google: {
        does: 'lets any page read them',
        async run(place) {
          assert.equal(await allowedOrigin(place, 'https://pages.test'), 'https://pages.test');
        },
      },
    },
    {
      name: 'keeps an idle connection for longer than 60 s, as load balancers expect it',
      source: sources.keepAlive,
      async run(place) {
        const agent = new Agent({ keepAlive: true, maxSockets: 1 });
        const line = `GET /v1/${place.project}/topics`;
        await place.client.rawHttp(line, { agent });
        await pause(61_000);
        const { status, isReused } = await place.client.rawHttp(line, { agent });
        agent.destroy();
        assert.deepEqual([status, isReused], [200, true]);
      },
    },
    {
      name: 'refuses a publish over the limit in plain words',
      source: sources.quotas,
      async run(place) {
        await subscribe(place);
        const data = Buffer.alloc(12_000_000, 'x').toString('base64');
        const answer = await place.client.http(`POST ${topicPath(place)}:publish`, { messages: [{ data }] });
        failsWith(answer, 400, 'INVALID_ARGUMENT', /^The value for request_size is too large/);
      },
      google: {
        does: 'does not answer, or answers 500',
        async run(place) {
          await subscribe(place);
          const data = Buffer.alloc(12_000_000, 'x').toString('base64');
          const line = `POST ${topicPath(place)}:publish`;
          const answer = await place.client
            .http(line, { messages: [{ data }] }, 8_000)
            .catch(() => undefined);
          if (answer) failsWith(answer, 500, 'INTERNAL');
        },
      },
    },
  ],
};
