/** The thread of a burst (burst.ts): clients without think time, until so many requests are sent. */
import { Agent, get } from 'node:http';
import { parentPort, workerData } from 'node:worker_threads';
import type { Burst } from './burst.ts';

/** As many as make envelopes of some size, and as many sockets as any machine has left. */
const clients = 200;

const answerTimeoutMs = 10_000;
const reportIntervalMs = 250;

const { url, requests } = workerData as { url: string; requests: number };
const agent = new Agent({ keepAlive: true });
const burst: Burst = { requests, answered: 0, failed: 0 };
let sent = 0;

function sendOne(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let isAnswered = false;
  const request = get(url, { agent, timeout: answerTimeoutMs }, (response) => {
    response.resume();
    // One that breaks off has no end.
    response.once('end', () => {
      isAnswered = response.statusCode === 200;
    });
  });
  request.once('timeout', () => request.destroy(new Error('no answer')));
  request.on('error', () => {});
  // Comes once, whatever came before it.
  request.once('close', () => {
    if (isAnswered) burst.answered++;
    else burst.failed++;
    resolve();
  });
  return promise;
}

async function client(): Promise<void> {
  while (sent < requests) {
    sent++;
    await sendOne();
  }
}

const report = setInterval(() => parentPort?.postMessage(burst), reportIntervalMs);
await Promise.all(Array.from({ length: Math.min(clients, requests) }, client));
clearInterval(report);
agent.destroy();
parentPort?.postMessage(burst);
