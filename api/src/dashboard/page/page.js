/** The page's connection to the api: one stream of frames, opened again whenever it breaks, and the burst's form. */
import { createBlankFrame } from './blank-frame.js';
import { byId, setText } from './elements.js';
import { showFrame } from './flow.js';
import { count } from './format.js';
import { createPlots, secondsShown } from './plots.js';

/** @typedef {import('../frame.ts').Frame} Frame */

/** Without a frame for so long the stream counts as broken, whatever the browser thinks of it. */
const silenceMsMax = 3_000;
const reconnectMs = 1_000;
/** As Retry-After says to one viewer too many, which an EventSource does not tell. */
const fullRetryMs = 5_000;

const plots = createPlots(byId('plots'));
/** @type {Frame[]} */
let frames = [];
/** Of the newest frame that came, by the api's clock. */
let newestAt = Date.now();
/** @type {EventSource | undefined} */
let stream;
/** @type {number | undefined} */
let timer;

function connect() {
  stream?.close();
  const source = new EventSource('/dashboard/events');
  source.addEventListener('settings', ({ data }) => showSettings(JSON.parse(data)));
  source.addEventListener('message', ({ data }) => receive(JSON.parse(data)));
  // Closed is what was answered with anything but 200; a connection that fails or breaks off would be tried again.
  source.addEventListener('error', () => (source.readyState === EventSource.CLOSED ? askWhy() : lose()));
  stream = source;
  expectFrame();
}

function expectFrame() {
  clearTimeout(timer);
  timer = window.setTimeout(lose, silenceMsMax);
}

function lose() {
  showConnection('lost', 'no connection to the api');
  showNothing({ state: 'down', text: 'does not answer' });
  retryIn(reconnectMs);
}

/** An api that serves lets everybody in but one viewer too many; in front of one that is gone a proxy may answer. */
async function askWhy() {
  clearTimeout(timer);
  const answer = await fetch('/servez', { signal: AbortSignal.timeout(silenceMsMax) }).catch(() => undefined);
  if (!answer?.ok) {
    lose();
    return;
  }
  showConnection('waiting', 'too many watch; trying again …');
  showNothing({ state: 'unwatched', text: 'too many watch' });
  retryIn(fullRetryMs);
}

/** @param {number} ms */
function retryIn(ms) {
  stream?.close();
  clearTimeout(timer);
  timer = window.setTimeout(connect, ms);
}

/** @param {import('../frame.ts').Part} api */
function showNothing(api) {
  // Right behind the newest one, it cuts the plots' lines there, and takes the place of the blank one before it.
  show(createBlankFrame(newestAt + 1, api));
}

/** @param {Frame} frame */
function receive(frame) {
  expectFrame();
  showConnection('live', 'live');
  newestAt = frame.at;
  show(frame);
  showBurst(frame.burst);
}

/** @param {Frame} frame */
function show(frame) {
  const since = frame.at - secondsShown * 1000;
  // A clock that was set back takes the frames after it along: a plot wants them in order.
  frames = [...frames.filter(({ at }) => at >= since && at < frame.at), frame];
  showFrame(frame);
  if (!document.hidden) plots.show(frames);
}

/**
 * @param {string} state
 * @param {string} text
 */
function showConnection(state, text) {
  const element = byId('connection');
  element.dataset.state = state;
  setText(element, text);
}

const form = /** @type {HTMLFormElement} */ (byId('burst'));
const input = /** @type {HTMLInputElement} */ (byId('burst-requests'));
const status = byId('burst-status');

/** @param {{ burstRequestsMax: number }} settings */
function showSettings({ burstRequestsMax }) {
  form.hidden = burstRequestsMax === 0;
  input.max = String(burstRequestsMax);
  input.value = String(Math.min(Number(input.value), burstRequestsMax));
}

/** Whether the status is of a burst. */
let isBurstShown = false;

/** @param {Frame['burst']} burst */
function showBurst(burst) {
  if (!burst) {
    // What the form itself has said meanwhile stays.
    if (isBurstShown) status.textContent = '';
    isBurstShown = false;
    return;
  }
  isBurstShown = true;
  const { requests, answered, failed } = burst;
  const isDone = answered + failed >= requests;
  const failures = failed > 0 ? `, ${count(failed)} failed` : '';
  // A figure a second would keep a screen reader talking; the end is news.
  status.ariaLive = isDone ? 'polite' : 'off';
  status.textContent = `${count(answered)} of ${count(requests)} requests answered${failures}`;
}

/**
 * A proxy in front of the api answers in another shape.
 * @param {Response} response
 */
async function messageOf(response) {
  const body = await response.json().catch(() => undefined);
  return body?.message ?? `The answer is ${response.status}.`;
}

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  const response = await fetch('/dashboard/burst', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ requests: Number(input.value) }),
  }).catch(() => undefined);
  status.ariaLive = 'polite';
  if (response?.ok) status.textContent = 'started';
  else if (response) status.textContent = await messageOf(response);
  else status.textContent = 'The api does not answer.';
});

connect();
