/** A consumer that takes up to a number of messages and bytes, for tests of the broker without a protocol. */
import type { AckId } from '../src/broker/ack-id.ts';
import type { Broker } from '../src/broker/broker.ts';
import type { Consumer } from '../src/broker/consumer.ts';
import { FlowControl } from '../src/broker/flow-control.ts';
import type { Lease } from '../src/broker/lease.ts';
import { messageFields, type NewMessage, readAttributes, readOrderingKey } from '../src/broker/message.ts';
import { encodeField, FieldScanner } from '../src/protobuf.ts';

export interface Delivered {
  id: AckId;
  text: string;
  key: string;
  attributes: Record<string, string>;
  attempts: number;
}

export function createMessage(
  text: string,
  options: { key?: string; attributes?: Record<string, string> } = {},
) {
  const pieces = [encodeField(messageFields.data, text)];
  for (const [key, value] of Object.entries(options.attributes ?? {})) {
    pieces.push(
      encodeField(messageFields.attributes, Buffer.concat([encodeField(1, key), encodeField(2, value)])),
    );
  }
  if (options.key) pieces.push(encodeField(messageFields.orderingKey, options.key));
  const buffer = Buffer.concat(pieces);
  return { buffer, start: 0, end: buffer.length } satisfies NewMessage;
}

export class Puller implements Consumer {
  readonly delivered: Delivered[] = [];
  releasedCount = 0;
  failure: Error | undefined;
  isClosed = false;
  #broker: Broker;
  #flow: FlowControl;
  #deadlineMs: number;
  #settled = Promise.withResolvers<void>();

  constructor(broker: Broker, messagesMax: number, deadlineMs = 10_000, bytesMax = 0) {
    this.#broker = broker;
    this.#flow = new FlowControl({ messagesMax, bytesMax });
    this.#deadlineMs = deadlineMs;
  }

  ackDeadlineMs(): number {
    return this.#deadlineMs;
  }

  wants(bytes: number): boolean {
    return !this.isClosed && !this.#flow.wouldExceed(bytes);
  }

  take(lease: Lease, buffer: Buffer, start: number, end: number): void {
    this.#flow.add(lease.bytes);
    const { sequence, generation, subscription, attempts } = lease;
    const id = { subscription: subscription.number, epoch: this.#broker.epoch, sequence, generation };
    const fields = new FieldScanner(buffer, start, end);
    let text = '';
    while (fields.next()) if (fields.field === messageFields.data) text = fields.text();
    const attributes = Object.fromEntries(readAttributes(buffer, start, end));
    this.delivered.push({ id, text, key: readOrderingKey(buffer, start, end), attributes, attempts });
  }

  flush(): void {
    this.#settle();
  }

  idle(): void {
    this.#settle();
  }

  released({ bytes }: Lease): void {
    this.#flow.remove(bytes);
    this.releasedCount++;
  }

  retaken({ bytes }: Lease): void {
    this.#flow.add(bytes);
  }

  fail(error: Error): void {
    this.failure = error;
    this.#settle();
  }

  #settle(): void {
    this.#settled.resolve();
    this.#settled = Promise.withResolvers();
  }

  /** Resolves when there is nothing more for it now. */
  settled(): Promise<void> {
    return this.#settled.promise;
  }
}

/** One pull of up to `max` messages: what is there now. */
export async function pullNow(
  broker: Broker,
  name: string,
  max: number,
  deadlineMs?: number,
): Promise<Delivered[]> {
  const subscription = broker.subscriptions.get(name);
  const puller = new Puller(broker, max, deadlineMs);
  const settled = puller.settled();
  subscription.addConsumer(puller);
  await settled;
  puller.isClosed = true;
  subscription.removeConsumer(puller);
  if (puller.failure) throw puller.failure;
  return puller.delivered;
}
