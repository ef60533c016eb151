/**
 * Whether the parts that this process needs answer, asked only when somebody asks, and at most twice a
 * second however many ask: probes cost nothing, and nothing is asked while nobody does.
 */
import type { Logger } from './log.ts';

export interface Check {
  /** Names the part in the answer, such as `MongoDB`. */
  name: string;
  /** Rejects, or does not answer within the time limit, when the part is not ready. */
  run: () => Promise<unknown>;
}

export interface Readiness {
  /** Undefined when every check passed, else what is not ready, such as `MongoDB is not answering`. */
  problem(): Promise<string | undefined>;
  /** Which checks passed, by name. */
  states(): Promise<Record<string, boolean>>;
}

/** Well under the second between two rounds of the dashboard, which would count one failure twice otherwise. */
const cacheMs = 500;
const checkTimeoutMs = 1_000;

/** Logs when a part stops being ready, and when it is again. */
export function createReadiness(checks: Check[], logger: Logger): Readiness {
  let answer: Promise<Record<string, boolean>> | undefined;
  const failing = new Set<string>();
  let askedAt = Number.NEGATIVE_INFINITY;

  /** The error itself stays out of the answer: it may hold an address. */
  async function runCheck({ name, run }: Check): Promise<[string, boolean]> {
    const { promise: timeout, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => reject(new Error(`no answer in ${checkTimeoutMs} ms`)), checkTimeoutMs);
    try {
      await Promise.race([run(), timeout]);
      if (failing.delete(name)) logger.info(`${name} is ready again`);
      return [name, true];
    } catch (error) {
      if (!failing.has(name)) logger.warn({ err: error }, `${name} is not ready`);
      failing.add(name);
      return [name, false];
    } finally {
      clearTimeout(timer);
    }
  }

  function states(): Promise<Record<string, boolean>> {
    if (answer && performance.now() - askedAt < cacheMs) return answer;
    askedAt = performance.now();
    answer = Promise.all(checks.map(runCheck)).then(Object.fromEntries);
    return answer;
  }

  return {
    states,
    async problem() {
      const failed = Object.entries(await states()).filter(([, isReady]) => !isReady);
      return failed.length > 0 ? failed.map(([name]) => `${name} is not answering`).join('; ') : undefined;
    },
  };
}
