/**
 * Unary Pull: a consumer that takes one response's worth, and answers when that is full or nothing more is there. Without
 * messages it waits, and gives an empty answer a second before the client's deadline, or after 89 s when there is none,
 * as Google's emulator does. (Over REST there always is one: rest/front.ts.)
 */
import type { Broker } from '../broker/broker.ts';
import { systemClock } from '../broker/clock.ts';
import type { Consumer } from '../broker/consumer.ts';
import { invalid } from '../broker/errors.ts';
import type { Lease } from '../broker/lease.ts';
import { limits } from '../broker/limits.ts';
import type { Subscription } from '../broker/subscription.ts';
import type { UnaryMethod } from './method.ts';
import { ReceivedMessages, readPull, responseBytesMax } from './wire.ts';

const withoutDeadlineMs = 90_000;
/** Or half of the time, where that is less: a client that gives less than a second wants to wait as well. */
const beforeDeadlineMs = 1_000;
const responseBufferBytes = 64 * 1024;

export function pull(broker: Broker): UnaryMethod {
  return async (bytes, call) => {
    const { subscription: name, isImmediate, messagesMax } = readPull(bytes);
    const subscription = broker.subscriptions.pullable(name);
    if (messagesMax === 0) throw invalid('No max_messages specified');
    if (messagesMax < 0) throw invalid('max_messages must be positive');
    const consumer = new PullConsumer(broker, subscription, { messagesMax, isImmediate });
    const { response } = consumer;
    const waitMs = call.deadlineMs === undefined ? withoutDeadlineMs : call.deadlineMs - Date.now();
    const emptyMs = waitMs - Math.min(beforeDeadlineMs, waitMs / 2);
    const cancelWait = systemClock.wakeIn(Math.max(0, emptyMs), () => consumer.finish());
    call.onCancel = () => consumer.finish();
    subscription.addConsumer(consumer);
    try {
      return await response;
    } finally {
      cancelWait();
      subscription.removeConsumer(consumer);
    }
  };
}

class PullConsumer implements Consumer {
  readonly takesUntilFull = true;
  #broker: Broker;
  #subscription: Subscription;
  #messagesMax: number;
  #isImmediate: boolean;
  #messages = new ReceivedMessages(responseBufferBytes);
  #answer = Promise.withResolvers<Buffer>();
  #isFinished = false;

  constructor(
    broker: Broker,
    subscription: Subscription,
    options: { messagesMax: number; isImmediate: boolean },
  ) {
    this.#broker = broker;
    this.#subscription = subscription;
    this.#messagesMax = Math.min(options.messagesMax, limits.pullMessages);
    this.#isImmediate = options.isImmediate;
  }

  get response(): Promise<Buffer> {
    return this.#answer.promise;
  }

  ackDeadlineMs(): number {
    return this.#subscription.settings.ackDeadlineMs;
  }

  wants(bytes: number): boolean {
    if (this.#isFinished) return false;
    const { count, length } = this.#messages;
    if (count === 0 || length + bytes <= responseBytesMax) return true;
    // What comes next is another's: nothing is to be waited for.
    this.finish();
    return false;
  }

  take(lease: Lease, buffer: Buffer, start: number, end: number): void {
    const { subscription, sequence, generation } = lease;
    const id = { subscription: subscription.number, epoch: this.#broker.epoch, sequence, generation };
    this.#messages.add(id, subscription.settings.deadLetterPolicy ? lease.attempts : 0, buffer, start, end);
    if (this.#messages.count >= this.#messagesMax) this.finish();
  }

  flush(): void {
    this.finish();
  }

  idle(): void {
    if (this.#isImmediate) this.finish();
  }

  released(): void {}

  finish(): void {
    if (this.#isFinished) return;
    this.#isFinished = true;
    this.#answer.resolve(this.#messages.take());
    // Its leases refer to it for as long as they last: not with the response.
    this.#messages = new ReceivedMessages(0);
    this.#answer = Promise.withResolvers();
  }

  fail(error: Error): void {
    if (this.#isFinished) return;
    this.#isFinished = true;
    this.#answer.reject(error);
  }
}
