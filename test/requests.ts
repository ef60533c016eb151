/** What tests ask of a running api. */
import { setTimeout as pause } from 'node:timers/promises';

export interface Answer {
  status: number;
  headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into whatever came
  body: any;
}

/** Any answer is an answer; a body that is no JSON fails. */
export async function request(url: string, init?: RequestInit): Promise<Answer> {
  const response = await fetch(url, init);
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    body: text === '' ? undefined : JSON.parse(text),
  };
}

/** Asks again until `condition` holds. Without a limit of its own: a test that hangs is ended by the runner's. */
export async function until<T>(ask: () => Promise<T>, condition: (value: T) => boolean): Promise<T> {
  for (;;) {
    const value = await ask();
    if (condition(value)) return value;
    await pause(20);
  }
}
