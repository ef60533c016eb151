/**
 * MongoDB, broker, writer and api: started in this order, stopped in the opposite one, so that each part
 * drains while everything that it needs is still there.
 */
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { startBroker } from './broker.ts';
import { type Child, type ChildOptions, createChild } from './child.ts';
import { type Config, defaultPorts, type PortVariable, projectRoot } from './config.ts';
import { inDrainOrder } from './drain-order.ts';
import { startMongoDb } from './mongodb.ts';
import { choosePorts, type WantedPort } from './ports.ts';
import type { RunState } from './run-state.ts';
import { clockTime, type Terminal } from './terminal.ts';

export interface StackSurroundings {
  config: Config;
  terminal: Terminal;
  runState: RunState;
  /** Aborted as soon as everything is to stop, also in the middle of the start. */
  signal: AbortSignal;
}

export interface Endpoints {
  apiUrl: string;
  writerUrl: string;
  mongoDbUri: string;
  brokerHost: string;
}

export interface Stack {
  /** Resolves when api and writer are ready. @throws StartError */
  start(): Promise<Endpoints>;
  /** Drains and ends every child that runs, one after the other. */
  stop(): Promise<void>;
  /** SIGKILL for all. */
  kill(): void;
}

const readyTimeoutMs = 3_000;

/** On top of what a drain may take before api and writer give up themselves. */
const drainMarginMs = 2_000;

export function createStack({ config, terminal, runState, signal }: StackSurroundings): Stack {
  const children: Child[] = [];

  async function startChild(options: ChildOptions): Promise<Child> {
    signal.throwIfAborted();
    const child = createChild(options, {
      runState,
      onTrouble: (name, text, details) => terminal.warn(name, `${clockTime()} ${text}`, details),
      onBack: (name, text) => terminal.entry(name, `${clockTime()} ${text}`),
    });
    children.push(child);
    try {
      await child.started;
      return child;
    } catch (error) {
      children.splice(children.indexOf(child), 1);
      throw error;
    }
  }

  async function start(): Promise<Endpoints> {
    const ports = await choosePorts(wantedPorts(config));
    const surroundings = { config, terminal, runState, signal, startChild };
    const mongoDbUri = await startMongoDb({ ...surroundings, port: ports.MONGODB_PORT });
    const brokerHost = await startBroker({ ...surroundings, port: ports.BROKER_PORT });
    const apiHost = config.HOST;
    const apiUrl = `http://${reachable(apiHost)}:${ports.PORT.port}`;
    const writerUrl = `http://127.0.0.1:${ports.WRITER_PORT.port}`;
    for (const [name, { note }] of [
      ['Writer', ports.WRITER_PORT],
      ['API', ports.PORT],
    ] as const) {
      if (note) terminal.entry(name, note);
    }
    const env = { ...config.environment, MONGODB_URI: mongoDbUri, PUBSUB_EMULATOR_HOST: brokerHost };
    const dashboardEnv = {
      WRITER_METRICS_HOST: `127.0.0.1:${ports.WRITER_PORT.port}`,
      BURST_REQUESTS_MAX: String(config.BURST_REQUESTS_MAX),
    };
    const node = { command: process.execPath, logFolder: config.logFolder };
    const stopTimeoutMs = config.DRAIN_DELAY_MS + config.DRAIN_TIMEOUT_MS + drainMarginMs;
    await Promise.all([
      startChild({
        ...node,
        name: 'Writer',
        args: [join(projectRoot, 'writer', 'src', 'main.ts')],
        env: { ...env, HOST: '127.0.0.1', PORT: String(ports.WRITER_PORT.port) },
        host: '127.0.0.1',
        port: ports.WRITER_PORT.port,
        check: () => checkReady(writerUrl),
        stopTimeoutMs,
      }),
      startChild({
        ...node,
        name: 'API',
        args: [join(projectRoot, 'api', 'src', 'main.ts')],
        env: { ...env, ...dashboardEnv, HOST: apiHost, PORT: String(ports.PORT.port) },
        host: apiHost,
        port: ports.PORT.port,
        check: () => checkReady(apiUrl),
        stopTimeoutMs,
      }),
    ]);
    return { apiUrl, writerUrl, mongoDbUri, brokerHost };
  }

  async function stop(): Promise<void> {
    for (const child of inDrainOrder(children)) {
      const wasRunning = child.pid() !== undefined;
      const startedAt = performance.now();
      const outcome = await child.stop();
      if (!wasRunning) continue;
      const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
      if (outcome === 'ended') terminal.entry(child.name, `ended in ${seconds} s`);
      else terminal.warn(child.name, `did not end within ${seconds} s and was killed; see ${child.logFile}`);
    }
  }

  return {
    start,
    stop,
    kill() {
      for (const child of children) child.kill();
    },
  };
}

function wantedPorts(config: Config): Record<PortVariable, WantedPort> {
  const want = (variable: PortVariable, host: string): WantedPort => ({
    variable,
    given: config[variable],
    fallback: defaultPorts[variable],
    host,
  });
  return {
    PORT: want('PORT', config.HOST),
    WRITER_PORT: want('WRITER_PORT', '127.0.0.1'),
    BROKER_PORT: want('BROKER_PORT', '127.0.0.1'),
    MONGODB_PORT: want('MONGODB_PORT', '127.0.0.1'),
  };
}

/** Not with fetch, which refuses a list of ports that anybody else may use. */
async function checkReady(url: string): Promise<void> {
  const request = get(`${url}/readyz`, { agent: false, timeout: readyTimeoutMs });
  request.once('timeout', () => request.destroy(new Error(`no answer in ${readyTimeoutMs / 1000} s`)));
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  const body = await text(response);
  if (response.statusCode !== 200) throw new Error(`/readyz: ${response.statusCode} ${body}`);
}

/** An address that this machine reaches, for one that is listened on. */
function reachable(host: string): string {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1';
  return host.includes(':') ? `[${host}]` : host;
}
