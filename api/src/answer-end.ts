/**
 * What is done when an answer has ended, sent or broken off.
 *
 * With one listener of `close` for all: node:events keeps several in an array, which V8 learns to allocate among the old
 * objects, from where it keeps the request alive that it belongs to. Then every request that waits for its confirmation is
 * copied there, 5 kB each, and found to be garbage only by the next full collection (SOLUTION.md).
 */
import type { ServerResponse } from 'node:http';

const first = Symbol('what is done first');

interface EndedResponse extends ServerResponse {
  [first]?: Step;
}

class Step {
  readonly run: (response: ServerResponse) => void;
  readonly next: Step | undefined;

  constructor(run: (response: ServerResponse) => void, next: Step | undefined) {
    this.run = run;
    this.next = next;
  }
}

/** Calls `run` when the answer has ended, the one given last first. */
export function onEnd(response: EndedResponse, run: (response: ServerResponse) => void): void {
  if (!response[first]) response.on('close', runAll);
  response[first] = new Step(run, response[first]);
}

function runAll(this: EndedResponse): void {
  for (let step = this[first]; step; step = step.next) step.run(this);
}
