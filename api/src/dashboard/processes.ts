/**
 * The processes of one part, found by one host:port: a name with several addresses, such as a headless
 * Service of Kubernetes, is several processes, and each is asked for its /metrics.
 */
import { lookup as lookUpName } from 'node:dns/promises';
import { Agent, get } from 'node:http';
import { parseText, type Sample } from './samples.ts';

/** A process, by its address. */
export interface Process {
  address: string;
  /** Undefined when it did not answer in time. */
  sample: Sample | undefined;
  /** It refuses connections, or was silent again and again; a busy one is only slow. */
  isGone: boolean;
}

export interface Processes {
  /** Never throws: a name without an address is no process. */
  ask(): Promise<Process[]>;
  close(): void;
}

/** Under the second between two frames. */
const askTimeoutMs = 800;

/** Rounds without an answer, after which a process counts as gone: 2 s. */
export const silencesMax = 2;

/** Far more than any part's replicas; a name that answers with more is not one of ours. */
const processesMax = 16;

/** A registry of ours is 20 kB. */
const textBytesMax = 1024 * 1024;

const lookUpAll = (name: string) => lookUpName(name, { all: true });

/** @param lookup resolves with all addresses of a name; tests bring their own. */
export function findProcesses(
  hostAndPort: string,
  wanted: ReadonlySet<string>,
  lookup: (name: string) => Promise<{ address: string; family: number }[]> = lookUpAll,
): Processes {
  const silences = new Map<string, number>();
  const agent = new Agent({ keepAlive: true, maxSockets: processesMax });
  const { hostname, port } = new URL(`http://${hostAndPort}`);
  const path = `/metrics?${new URLSearchParams([...wanted].map((name) => ['name', name]))}`;

  async function addresses(): Promise<string[]> {
    const found = await lookup(hostname.replace(/^\[|\]$/g, '')).catch(() => []);
    // A process that listens on both families is one.
    const family = found.some((one) => one.family === 4) ? 4 : 6;
    return found.filter((one) => one.family === family).map((one) => one.address);
  }

  function readText(host: string): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const signal = AbortSignal.timeout(askTimeoutMs);
    // A URL leaves out the port that its scheme has anyway.
    const request = get({ host, port: port || 80, path, agent, signal }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
        if (text.length > textBytesMax) request.destroy(new Error('too long'));
      });
      response.on('end', () => (response.statusCode === 200 ? resolve(text) : reject(new Error('no 200'))));
      response.on('error', reject);
    });
    request.on('error', reject);
    return promise;
  }

  async function askOne(address: string): Promise<Process> {
    try {
      const text = await readText(address);
      silences.delete(address);
      return { address, sample: parseText(text, wanted), isGone: false };
    } catch (error) {
      const silence = (silences.get(address) ?? 0) + 1;
      silences.set(address, silence);
      const isRefused = (error as NodeJS.ErrnoException).code === 'ECONNREFUSED';
      return { address, sample: undefined, isGone: isRefused || silence >= silencesMax };
    }
  }

  return {
    async ask() {
      const all = (await addresses()).slice(0, processesMax);
      for (const address of silences.keys()) if (!all.includes(address)) silences.delete(address);
      return Promise.all(all.map(askOne));
    },
    close: () => agent.destroy(),
  };
}
