/** The picture of the parts, the tables beneath, and what happened to the parts since the page was opened. */
import { byId, setText } from './elements.js';
import * as format from './format.js';

/** @typedef {import('../frame.ts').Frame} Frame */
/** @typedef {keyof Frame['parts']} PartName */

/** @type {Record<PartName, string>} */
const titles = { api: 'api', topic: 'topic', writer: 'writer', mongodb: 'MongoDB' };

/** Old ones make room. */
const happenedMax = 8;

/** @type {Record<string, string>} */
const reasonTexts = {
  count: 'full: as many writes as fit',
  bytes: 'full: as many bytes as fit',
  age: 'its first write had waited long enough',
  drain: 'the writer stopped',
};

/** @type {Partial<Record<PartName, string>>} */
const before = {};

/** @param {Frame} frame */
export function showFrame(frame) {
  for (const name of /** @type {PartName[]} */ (Object.keys(titles))) showPart(name, frame.parts[name]);
  const { requests, confirmed, stored, backlog, batches, operations, deadLetters } = frame;
  const active = [operations.reads.active, operations.writes.active].filter((value) => value !== null);
  showFigures({
    requests: format.count(requests.rate),
    inFlight: format.count(requests.inFlight),
    confirmed: format.count(confirmed.rate),
    confirmLatency: format.milliseconds(format.toMilliseconds(confirmed.latency.p95)),
    backlog: format.count(backlog.unacked),
    oldestAge: format.age(backlog.oldestAge),
    leased: format.count(backlog.leased),
    batchWrites: format.count(batches.writesMean),
    batches: format.count(batches.rate),
    stored: format.count(stored.rate),
    storeLatency: format.milliseconds(format.toMilliseconds(operations.bulkWrite.p95)),
    documents: format.count(stored.documents),
    operations: active.length === 0 ? '–' : String(active.reduce((all, value) => all + value, 0)),
    deadLetters: format.count(deadLetters.sent),
    deadLettersWaiting: format.count(deadLetters.waiting),
  });
  showLink('confirmed', confirmed.rate, [frame.parts.api, frame.parts.topic]);
  showLink('leased', backlog.leased || stored.rate, [frame.parts.topic, frame.parts.writer]);
  showLink('stored', stored.rate, [frame.parts.writer, frame.parts.mongodb]);
  showReasons(batches.reasons);
  showTickets(operations);
  showRefused(frame.refused);
  showTitle(frame);
}

/**
 * @param {PartName} name
 * @param {import('../frame.ts').Part} part
 */
function showPart(name, { state, text }) {
  const element = document.querySelector(`[data-part="${name}"]`);
  if (!(element instanceof HTMLElement)) return;
  element.dataset.state = state;
  setText(element.querySelector('.state'), `${state === 'up' ? '' : `${state}: `}${text}`);
  // Where nobody looks nothing happens: a connection that is lost and found again is one entry for the api, not eight.
  if (state === 'unwatched') return;
  const was = before[name];
  before[name] = state;
  if (was === state || (was === undefined && state === 'up')) return;
  addHappened(`${titles[name]} is ${state}: ${text}`);
}

/** @param {string} text */
function addHappened(text) {
  byId('happened-none').hidden = true;
  const list = byId('happened');
  const entry = document.createElement('li');
  const time = document.createElement('time');
  time.textContent = new Date().toLocaleTimeString('en-GB');
  entry.append(time, text);
  list.prepend(entry);
  if (list.childElementCount > happenedMax) list.lastElementChild?.remove();
}

/** @param {Record<string, string>} figures */
function showFigures(figures) {
  for (const [name, text] of Object.entries(figures)) {
    setText(document.querySelector(`[data-figure="${name}"]`), text);
  }
}

/**
 * @param {string} name
 * @param {number | null} amount
 * @param {import('../frame.ts').Part[]} ends
 */
function showLink(name, amount, ends) {
  const link = document.querySelector(`[data-link="${name}"]`);
  if (!(link instanceof HTMLElement)) return;
  link.dataset.flows = amount ? 'yes' : 'no';
  link.dataset.broken = ends.some((part) => part.state === 'down') ? 'yes' : 'no';
}

/** @param {Frame['batches']['reasons']} reasons */
function showReasons(reasons) {
  const all = Object.values(reasons ?? {}).reduce((total, value) => total + value, 0);
  for (const [reason, text] of Object.entries(reasonTexts)) {
    const value = reasons?.[reason] ?? 0;
    showBar('reasons', reason, { title: text, value, max: all, text: format.count(reasons && value) });
  }
}

/** @param {Frame['operations']} operations */
function showTickets({ reads, writes }) {
  for (const [name, { active, limit, tickets }] of Object.entries({ reads, writes })) {
    const of = tickets === null ? '; MongoDB does not tell its tickets' : ` of ${tickets} tickets`;
    const text = limit === null ? '–' : `${format.count(active)} now, ${format.count(limit)} at most${of}`;
    showBar('tickets', name, { title: name, value: active ?? 0, max: tickets ?? limit ?? 0, text });
  }
}

/**
 * @param {string} list
 * @param {string} key
 * @param {{ title: string, value: number, max: number, text: string }} bar
 */
function showBar(list, key, { title, value, max, text }) {
  const id = `${list}-${key}`;
  let description = document.getElementById(id);
  if (!description) {
    const term = document.createElement('dt');
    term.textContent = title;
    description = document.createElement('dd');
    description.id = id;
    const meter = document.createElement('meter');
    meter.ariaLabel = title;
    description.append(meter, document.createElement('span'));
    byId(list).append(term, description);
  }
  const meter = /** @type {HTMLMeterElement} */ (description.querySelector('meter'));
  meter.max = max || 1;
  meter.value = value;
  setText(description.querySelector('span'), text);
}

/** @param {Frame['refused']} refused */
function showRefused(refused) {
  const all = refused ?? [];
  byId('refused-none').hidden = refused === null || all.length > 0;
  const table = /** @type {HTMLTableElement} */ (byId('refused'));
  table.hidden = all.length === 0;
  const [body] = table.tBodies;
  if (!body) return;
  while (body.rows.length > all.length) body.deleteRow(-1);
  for (const [index, { code, rate, total }] of all.entries()) {
    const row = body.rows[index] ?? body.insertRow();
    for (const [column, text] of [code, `${format.count(rate)}/s`, format.count(total)].entries()) {
      setText(row.cells[column] ?? row.insertCell(), text);
    }
  }
}

/** @param {Frame} frame */
function showTitle({ parts }) {
  const broken = /** @type {PartName[]} */ (Object.keys(titles)).find((name) => parts[name].state === 'down');
  document.title = broken ? `✕ ${titles[broken]}: ${parts[broken].text}` : 'The way of a write';
}
