/**
 * The assessment's stress test: up to 10,000 users without think time for 13 minutes.
 *
 *   k6 run stress-test/stress-test.js
 *   k6 run --vus 100 --duration 30s stress-test/stress-test.js     (the same checks and thresholds)
 *
 * Environment variables:
 *   BASE_URL      where the api is, default http://assessment.local
 *   API_TOKEN     the api's bearer token, where it wants one
 *   VERBOSE       true: print each failure
 *   PROFILE       short: a tenth of each stage's time with the same users; default full
 *   THINK_TIME    seconds between a user's requests, default 0
 *   RECORD        true: print what stress-test/audit.ts needs, for `--console-output FILE`
 *   RECORD_EVERY  with RECORD: about one request in this many is written down, 1 to 50, default 50, with KEYS 1
 *   KEYS          true: each request has an Idempotency-Key of its own, and is repeated with it until it is confirmed
 *
 * A run that can be audited afterwards (both files new, k6 appends to the first):
 *   k6 run -e RECORD=true --console-output ids.txt --log-format raw --summary-export summary.json …
 *   npm run audit -- --ids ids.txt --summary summary.json
 *
 * With KEYS each try counts by itself in k6's checks and thresholds, and the audit counts keys.
 */
import { check, sleep } from 'k6';
import exec from 'k6/execution';
import http from 'k6/http';
import { Counter, Rate } from 'k6/metrics';
import { classifyAnswer } from './outcome.js';

const baseUrl = (__ENV.BASE_URL || 'http://assessment.local').replace(/\/+$/, '');
const headers = __ENV.API_TOKEN ? { Authorization: `Bearer ${__ENV.API_TOKEN}` } : {};
const isVerbose = __ENV.VERBOSE === 'true';
const isRecording = __ENV.RECORD === 'true';
const isKeyed = __ENV.KEYS === 'true';
const recordEvery = Math.floor(readNumber('RECORD_EVERY', isKeyed ? 1 : 50, 1, 50));
const thinkTimeSeconds = readNumber('THINK_TIME', 0, 0, 3600);
const durationFactor = readProfile() === 'short' ? 0.1 : 1;

/** Before a request is repeated with its key: the shortest that the api asks for in `Retry-After`. */
const repeatPauseSeconds = 1;

/** A good answer came within this. */
const goodAnswerMsMax = 2_000;

/** @type {[seconds: number, users: number][]} */
const stages = [
  [60, 1_000],
  [120, 5_000],
  [180, 10_000],
  [300, 10_000],
  [120, 0],
];

/** @type {import('k6/options').Options} */
export const options = {
  scenarios: {
    users: {
      executor: 'ramping-vus',
      startVUs: 0,
      stages: stages.map(([seconds, target]) => ({ duration: `${seconds * durationFactor}s`, target })),
      gracefulRampDown: '30s',
      gracefulStop: '30s',
    },
  },
  thresholds: {
    http_req_duration: ['p(95)<2000', 'p(99)<5000'],
    http_req_failed: ['rate<0.01'],
    error_rate: ['rate<0.01'],
  },
  summaryTrendStats: ['avg', 'min', 'med', 'max', 'p(90)', 'p(95)', 'p(99)'],
};

/** The share of requests whose answer was not 200, or not `success`, or not in time. */
const errorRate = new Rate('error_rate');

// What the audit counts by. A request that k6 breaks off is sent, and none of the others: unknown.
const requestsSent = new Counter('requests_sent');
const requestsConfirmed = new Counter('requests_confirmed');
const requestsRefused = new Counter('requests_refused');
const requestsRecorded = new Counter('requests_recorded');
// With KEYS a request is sent once, however often it is repeated. One that k6 breaks off is never confirmed.
const requestsRepeated = new Counter('requests_repeated');
const answersWithOtherIds = new Counter('answers_with_other_ids');

/**
 * Whether the last answer left this user a connection. Go's HTTP client, which k6 is built on, sends a GET
 * once more when such a connection breaks under it: a failure to connect is then the second one's, and the
 * first may have been taken.
 */
let isConnected = false;

/** Refuses to start against what is not ready: such a run measures nothing. */
export function setup() {
  const response = http.get(`${baseUrl}/readyz`, { timeout: '10s' });
  if (response.status !== 200) {
    const answer = response.status === 0 ? response.error : `${response.status} ${response.body}`;
    exec.test.abort(`Not started: ${baseUrl}/readyz has to answer 200, and the answer is: ${answer}`);
  }
  if (!isRecording) return;
  // By the api's clock, which its ids are made with. In the second after this one nothing has an id yet.
  console.log(`begin ${response.json('timestamp')}${isKeyed ? ' keyed' : ''}`);
  sleep(1);
}

export default function () {
  requestsSent.add(1);
  if (isKeyed) sendUntilConfirmed();
  else if (send(headers).outcome === 'refused') requestsRefused.add(1);
  if (thinkTimeSeconds > 0) sleep(thinkTimeSeconds);
}

/** Until k6 breaks the user off: `gracefulStop` after the end. */
function sendUntilConfirmed() {
  const keyed = { ...headers, 'Idempotency-Key': crypto.randomUUID() };
  let known = '';
  for (;;) {
    const { outcome, response } = send(keyed);
    const named = readField(response, outcome === 'confirmed' ? 'writes' : 'ids');
    if (named) {
      if (known && known !== String(named)) answersWithOtherIds.add(1);
      known = known || String(named);
    }
    if (outcome === 'confirmed') return;
    sleep(repeatPauseSeconds);
    requestsRepeated.add(1);
  }
}

/**
 * Sends a request once, checks its answer and counts a confirmation.
 * @param {Record<string, string>} headers
 */
function send(headers) {
  const response = http.get(`${baseUrl}/api/data`, { headers, timeout: '10s' });
  const status = readField(response, 'status');
  const code = response.status === 200 ? undefined : readField(response, 'code');
  let outcome = classifyAnswer(response.status, { status, code });
  const isGood = check(response, {
    'status is 200': () => response.status === 200,
    'JSON status is success': () => status === 'success',
    'answer within 2 s': () => response.timings.duration < goodAnswerMsMax,
  });
  errorRate.add(!isGood);
  if (outcome === 'confirmed') {
    requestsConfirmed.add(1);
    if (isRecording && (__ITER + __VU - 1) % recordEvery === 0) {
      console.log(`confirmed ${readField(response, 'writes').join(' ')}`);
      requestsRecorded.add(1);
    }
  } else if (isNotConnected(response) && !isConnected) {
    outcome = 'refused';
  }
  isConnected = response.status !== 0;
  if (!isGood && isVerbose) {
    const what = response.status === 0 ? response.error : `${response.status} ${response.body}`;
    console.warn(`failed after ${Math.round(response.timings.duration)} ms: ${what}`);
  }
  return { outcome, response };
}

/**
 * A field of a JSON answer, undefined when it is not there. k6 finds it without building the rest, which
 * saves a fifth of the time that a request costs it.
 * @param {import('k6/http').RefinedResponse<undefined>} response
 * @param {string} name
 * @returns {any}
 */
function readField(response, name) {
  return response.body ? response.json(name) : undefined;
}

/**
 * k6's codes for errors before a connection: name look-up (11xx) and dialling (121x), see
 * https://grafana.com/docs/k6/latest/javascript-api/error-codes/
 * @param {import('k6/http').RefinedResponse<undefined>} response
 */
function isNotConnected({ status, error_code: code }) {
  return status === 0 && ((code >= 1100 && code < 1200) || (code >= 1210 && code < 1220));
}

/**
 * @param {string} name
 * @param {number} fallback
 * @param {number} min
 * @param {number} max
 */
function readNumber(name, fallback, min, max) {
  const value = Number(__ENV[name] || fallback);
  if (value >= min && value <= max) return value;
  throw new Error(`${name}: wants a number from ${min} to ${max}`);
}

function readProfile() {
  const profile = __ENV.PROFILE || 'full';
  if (profile === 'full' || profile === 'short') return profile;
  throw new Error('PROFILE: wants full or short');
}
