/**
 * A load generator as a process of its own, so that it can be kept off the CPU of what it loads: GET requests with as
 * little work as possible for each. It prints one JSON line a second, and one for the whole run or why there is none.
 *
 * The connections are opened first, and the run begins when each has been answered once; there is none when that takes
 * longer than OPEN_SECONDS. Closed loop (`patient` or `impatient`): each sends its next request when the last is
 * answered; after a refusal a patient one waits as long as Retry-After says, or up to twice that. Open loop (a rate):
 * requests are due at a fixed rate whatever is answered; one is sent on the connection that is idle for longest, and its
 * time runs from when it was due. One that finds none counts as `unsent`. A connection that is closed is opened again.
 *
 *   node stress-test/limits/generator.ts URL CONNECTIONS SECONDS patient|impatient|RATE OPEN_SECONDS
 */
import { connect, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { createLatencies } from './latencies.ts';

export interface Interval {
  accepted: number;
  refused: number;
  /** 503 without Retry-After. */
  refusedBare: number;
  /** Any other answer, or a connection that ended before one. */
  failed: number;
  unsent: number;
  acceptedMs: Latency;
  refusedMs: Latency;
  /** Of a whole run: ids of every hundredth request that was accepted. */
  ids?: string[];
}

interface Latency {
  p50: number;
  p99: number;
  max: number;
}

const [target = '', connectionsText, secondsText, pace = '', openSecondsText] = process.argv.slice(2);
const url = new URL(target);
const connectionsMax = Number(connectionsText);
const durationMs = Number(secondsText) * 1_000;
const openSeconds = Number(openSecondsText);
const isPatient = pace === 'patient';
const rate = isPatient || pace === 'impatient' ? undefined : Number(pace);
const requestOf = (path: string) => `GET ${path} HTTP/1.1\r\nHost: ${url.host}\r\n\r\n`;
const request = requestOf(url.pathname);

/** New connections a tick, so that their handshakes do not come all at once. */
const connectsPerTick = 50;
const tickMs = 2;

/** Answers are waited for this long after the last request. */
const drainMs = 10_000;

const idsEvery = 100;

const headEnd = Buffer.from('\r\n\r\n');

interface Connection {
  socket: Socket;
  /** When its request was sent, or due; undefined while it has none. */
  sentAt: number | undefined;
  received: Buffer | undefined;
}

/** In the order in which they became idle. */
const idle = new Set<Connection>();
let connectionCount = 0;
let underWay = 0;
let isSending = false;
const ids: string[] = [];
let second = createCounts();
const whole = createCounts();

function createCounts() {
  const counts = { accepted: 0, refused: 0, refusedBare: 0, failed: 0, unsent: 0 };
  return { counts, acceptedMs: createLatencies(), refusedMs: createLatencies() };
}

function count(kind: keyof ReturnType<typeof createCounts>['counts'], ms?: number): void {
  for (const each of [second, whole]) {
    each.counts[kind]++;
    if (ms === undefined) continue;
    if (kind === 'accepted') each.acceptedMs.add(ms);
    else each.refusedMs.add(ms);
  }
}

function summary({ counts, acceptedMs, refusedMs }: ReturnType<typeof createCounts>): Interval {
  return { ...counts, acceptedMs: acceptedMs.summary(), refusedMs: refusedMs.summary() };
}

/** Accepted once its first request, which does not count, is answered. */
function open(): void {
  connectionCount++;
  const socket = connect({ port: Number(url.port), host: url.hostname, noDelay: true });
  const connection: Connection = { socket, sentAt: undefined, received: undefined };
  socket.on('connect', () => socket.write(requestOf('/healthz')));
  socket.on('data', (chunk: Buffer) => receive(connection, chunk));
  socket.on('error', () => {});
  socket.on('close', () => {
    connectionCount--;
    idle.delete(connection);
    if (connection.sentAt === undefined) return;
    underWay--;
    count('failed');
  });
}

function send(connection: Connection, sentAt: number): void {
  underWay++;
  connection.sentAt = sentAt;
  connection.socket.write(request);
}

/** What a connection does that has no request under way. */
function next(connection: Connection): void {
  if (connection.socket.destroyed) return;
  if (rate === undefined && isSending) send(connection, performance.now());
  else idle.add(connection);
}

function receive(connection: Connection, chunk: Buffer): void {
  const received = connection.received ? Buffer.concat([connection.received, chunk]) : chunk;
  const end = received.indexOf(headEnd);
  const head = end < 0 ? '' : received.toString('latin1', 0, end);
  const length = /content-length: (\d+)/i.exec(head)?.[1];
  if (length === undefined || received.length < end + headEnd.length + Number(length)) {
    connection.received = received;
    return;
  }
  connection.received = undefined;
  if (connection.sentAt === undefined) {
    next(connection);
    return;
  }
  const ms = performance.now() - connection.sentAt;
  connection.sentAt = undefined;
  underWay--;
  const pauseMs = countAnswer(head, received.subarray(end + headEnd.length), ms);
  if (/^connection: close/im.test(head)) connection.socket.end();
  else if (pauseMs > 0) setTimeout(next, pauseMs, connection);
  else next(connection);
}

/** @returns how long the connection waits before its next request. */
function countAnswer(head: string, body: Buffer, ms: number): number {
  const status = head.slice(9, 12);
  if (status === '200') {
    count('accepted', ms);
    if (whole.counts.accepted % idsEvery === 0) ids.push(...(JSON.parse(body.toString()).writes ?? []));
  } else if (status !== '503') count('failed');
  else {
    count('refused', ms);
    const retryAfter = /^retry-after: (\d+)/im.exec(head)?.[1];
    if (retryAfter === undefined) count('refusedBare');
    // Between once and twice that, as users who do not know of each other.
    else if (isPatient) return Number(retryAfter) * 1_000 * (1 + Math.random());
  }
  return 0;
}

/** Also in place of those that were closed. */
function openMissing(): void {
  for (let opened = 0; opened < connectsPerTick && connectionCount < connectionsMax; opened++) open();
}

/** A pipe takes 64 KiB at once, and what is left of a long line would go down with the process. */
function end(line: object): Promise<never> {
  return new Promise(() => process.stdout.write(`${JSON.stringify(line)}\n`, () => process.exit()));
}

const opening = setInterval(openMissing, tickMs);
const openUntil = performance.now() + openSeconds * 1_000;
while (idle.size < connectionsMax && performance.now() < openUntil) await pause(tickMs);
if (idle.size < connectionsMax) {
  process.exitCode = 1;
  const answered = `${idle.size} of ${connectionsMax} connections to ${url.host}`;
  await end({ failure: `Only ${answered} were answered within ${openSeconds} s.` });
}
const startedAt = performance.now();
isSending = true;
if (rate === undefined) {
  for (const connection of idle) send(connection, startedAt);
  idle.clear();
}
const reporting = setInterval(() => {
  console.log(JSON.stringify(summary(second)));
  second = createCounts();
}, 1_000);
for (let due = 0, elapsedMs = 0; elapsedMs < durationMs; ) {
  await pause(tickMs);
  elapsedMs = Math.min(durationMs, performance.now() - startedAt);
  for (; rate !== undefined && due < (elapsedMs / 1_000) * rate; due++) {
    const [connection] = idle;
    idle.delete(connection as Connection);
    if (connection) send(connection, startedAt + (due / rate) * 1_000);
    else count('unsent');
  }
}
isSending = false;
clearInterval(opening);
clearInterval(reporting);
const giveUpAt = performance.now() + drainMs;
while (underWay > 0 && performance.now() < giveUpAt) await pause(tickMs);
await end({ whole: { ...summary(whole), ids } });
