/**
 * One StreamingPull: a consumer of its subscription, and the acks that come on it.
 *
 * `opening` (until the first request names the subscription) → `open` → ended by the client (the leases of what it has
 * read then last until their deadline), or failed with a status. At most one response is on its way into HTTP/2's flow control while the
 * next one fills; when both are full the stream wants nothing, so a slow client costs two responses of memory. Nor is
 * anything read then of a client that goes on acking under exactly-once delivery and does not read what was confirmed.
 * A request without ack ids is the client's keepalive, also when it sets the deadline, as Go's does: protocol version 1
 * expects a response within 15 s, or the client drops the stream (nodejs-pubsub 6.3.0, message-stream.js;
 * cloud.google.com/go/pubsub/v2 2.8.1, iterator.go, pingStream and checkServer).
 */
import type { AckId } from '../broker/ack-id.ts';
import type { Broker } from '../broker/broker.ts';
import type { Consumer } from '../broker/consumer.ts';
import { invalid } from '../broker/errors.ts';
import { FlowControl } from '../broker/flow-control.ts';
import type { Lease } from '../broker/lease.ts';
import { limits } from '../broker/limits.ts';
import type { AckOutcome, Subscription } from '../broker/subscription.ts';
import { ackCommitted, checkAckIds, checkDeadline } from '../methods/acks.ts';
import {
  ackIdText,
  ReceivedMessages,
  readStreamRequest,
  responseBytesMax,
  type StreamRequest,
} from '../methods/wire.ts';
import { encodeField } from '../protobuf.ts';
import type { StreamCall, StreamMethod, StreamReceiver } from './call.ts';

/** A response is sent when it has this much, or when nothing more is there for it. */
const responseBytes = 256 * 1024;
const responseBufferBytes = 16 * 1024;
/** A buffer that one large message made longer is not kept. */
const keptBufferBytesMax = 4 * responseBytes;

const streamDeadlineMsMin = 10_000;
const streamDeadlineMsMax = limits.ackDeadlineSecondsMax * 1_000;

export function streamingPull(broker: Broker): StreamMethod {
  return (call) => new PullStream(broker, call);
}

class PullStream implements Consumer, StreamReceiver {
  #broker: Broker;
  #call: StreamCall;
  #subscription: Subscription | undefined;
  #flow = new FlowControl({ messagesMax: 0, bytesMax: 0 });
  #messages = new ReceivedMessages(responseBufferBytes);
  /** The other of the two buffers, while it is not being sent. */
  #spare: ReceivedMessages | undefined;
  #deadlineMs = 0;
  #protocolVersion = 0;
  #isSending = false;
  /** Confirmations for which neither response has room; until they have some, nothing more is read. */
  #waiting: Buffer[] = [];
  #isClosed = false;

  constructor(broker: Broker, call: StreamCall) {
    this.#broker = broker;
    this.#call = call;
  }

  receive(bytes: Buffer): void {
    if (this.#isClosed) return;
    try {
      const request = readStreamRequest(bytes);
      if (this.#subscription) this.#receiveNext(request);
      else this.#open(request);
    } catch (error) {
      this.fail(error as Error);
    }
  }

  #open(request: StreamRequest): void {
    if (request.subscription === '') throw invalid('first message must set subscription');
    if (request.ackDeadlineSeconds === 0) {
      throw invalid('first message must set stream_ack_deadline_seconds');
    }
    this.#setDeadline(request.ackDeadlineSeconds);
    this.#protocolVersion = request.protocolVersion;
    this.#flow = new FlowControl(request);
    const subscription = this.#broker.subscriptions.pullable(request.subscription);
    this.#subscription = subscription;
    this.#settle(subscription, request);
    subscription.addConsumer(this);
  }

  #receiveNext(request: StreamRequest): void {
    for (const [field, isSet] of [
      ['subscription', request.subscription !== ''],
      ['max_outstanding_messages', request.messagesMax !== 0],
      ['max_outstanding_bytes', request.bytesMax !== 0],
      ['protocol_version', request.protocolVersion !== 0],
    ]) {
      if (isSet) throw invalid(`${field} may only be set in first message`);
    }
    if (request.ackDeadlineSeconds !== 0) this.#setDeadline(request.ackDeadlineSeconds);
    if (this.#subscription) this.#settle(this.#subscription, request);
    const isKeepalive = request.ackIds.length === 0 && request.modifyIds.length === 0;
    if (isKeepalive && this.#protocolVersion >= 1) this.#sendNow();
  }

  #setDeadline(seconds: number): void {
    const ms = seconds * 1_000;
    if (ms < streamDeadlineMsMin || ms > streamDeadlineMsMax) {
      throw invalid('stream_ack_deadline_seconds must be between 10 and 600 seconds');
    }
    this.#deadlineMs = ms;
  }

  #settle(subscription: Subscription, request: StreamRequest): void {
    const { ackIds, modifyIds, modifySeconds } = request;
    if (modifyIds.length !== modifySeconds.length) {
      throw invalid('ack IDs and deadlines must have the same size');
    }
    checkAckIds(this.#broker, subscription, ackIds);
    checkAckIds(this.#broker, subscription, modifyIds);
    for (const seconds of modifySeconds) checkDeadline(seconds);
    const acked = ackIds.length > 0 ? subscription.acknowledge(ackIds) : [];
    const modified =
      modifyIds.length > 0
        ? subscription.modifyDeadlines(modifyIds, (position) => (modifySeconds[position] ?? 0) * 1_000)
        : [];
    if (subscription.settings.isExactlyOnce && acked.length + modified.length > 0) {
      void this.#confirm(subscription, { ackIds, acked, modifyIds, modified });
    }
  }

  /** Under exactly-once delivery: what is acked for good, once it is on disk. */
  async #confirm(
    subscription: Subscription,
    settled: { ackIds: AckId[]; acked: AckOutcome[]; modifyIds: AckId[]; modified: AckOutcome[] },
  ): Promise<void> {
    const { ackIds, acked, modifyIds, modified } = settled;
    try {
      await ackCommitted(this.#broker, subscription, ackIds, acked);
    } catch (error) {
      this.fail(error as Error);
      return;
    }
    const fields: Buffer[] = [];
    if (acked.length > 0) {
      fields.push(encodeField(5, confirmation(ackIds, acked, { ok: 1, invalid: 2, unordered: 3 })));
    }
    if (modified.length > 0) {
      const outcomes = { ok: 1, invalid: 2, unordered: 2 };
      fields.push(encodeField(3, confirmation(modifyIds, modified, outcomes)));
    }
    if (!this.#isClosed) this.#addFields(Buffer.concat(fields));
  }

  #addFields(fields: Buffer): void {
    if (this.#isFull(fields.length)) {
      if (this.#isSending) {
        this.#waiting.push(fields);
        this.#call.pause();
        return;
      }
      this.#send();
    }
    this.#messages.addField(fields);
    this.#sendNow();
  }

  ackDeadlineMs(): number {
    return this.#deadlineMs;
  }

  wants(bytes: number): boolean {
    if (this.#isClosed || (this.#isSending && this.#isFull(bytes))) return false;
    return !this.#flow.wouldExceed(bytes);
  }

  #isFull(bytes: number): boolean {
    const { length } = this.#messages;
    return length >= responseBytes || (length > 0 && length + bytes > responseBytesMax);
  }

  take(lease: Lease, buffer: Buffer, start: number, end: number): void {
    this.#flow.add(lease.bytes);
    if (!this.#isSending && this.#isFull(end - start)) this.#send();
    const { subscription, sequence, generation } = lease;
    const id = { subscription: subscription.number, epoch: this.#broker.epoch, sequence, generation };
    const attempt = subscription.settings.deadLetterPolicy ? lease.attempts : 0;
    this.#messages.add(id, attempt, buffer, start, end);
    if (this.#messages.length >= responseBytes && !this.#isSending) this.#send();
  }

  flush(): void {
    if (!this.#isSending && this.#messages.length > 0) this.#send();
  }

  idle(): void {}

  released(lease: Lease): void {
    this.#flow.remove(lease.bytes);
  }

  retaken(lease: Lease): void {
    this.#flow.add(lease.bytes);
  }

  /** Also when it is empty. */
  #sendNow(): void {
    if (!this.#isSending) this.#send();
  }

  #send(): void {
    const { isExactlyOnce = false, isOrdered = false } = this.#subscription?.settings ?? {};
    const sent = this.#messages;
    sent.addField(properties(isExactlyOnce, isOrdered));
    this.#messages = this.#spare ?? new ReceivedMessages(responseBufferBytes);
    this.#spare = undefined;
    this.#isSending = true;
    this.#call.write(sent.takeFramed(), () => {
      this.#isSending = false;
      if (this.#isClosed) return;
      if (sent.bufferBytes <= keptBufferBytesMax) this.#spare = sent;
      if (this.#messages.length > 0) this.#send();
      if (this.#waiting.length > 0) this.#addWaiting();
      this.#subscription?.wake();
    });
  }

  #addWaiting(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#call.resume();
    for (const fields of waiting) this.#addFields(fields);
  }

  fail(error: Error): void {
    if (this.#isClosed) return;
    this.cancel();
    this.#call.fail(error);
  }

  /** The client is done: what it has read stays leased until its deadline. */
  end(): void {
    if (this.#isClosed) return;
    this.cancel();
    this.#call.end();
  }

  cancel(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#subscription?.removeConsumer(this);
    if (this.#flow.messages > 0) this.#subscription?.forsake(this);
    // Its leases refer to it until their messages are handed out again: not with its buffers.
    this.#messages = new ReceivedMessages(0);
    this.#spare = undefined;
    this.#waiting = [];
  }
}

function confirmation(
  ids: readonly AckId[],
  outcomes: readonly AckOutcome[],
  fields: Record<AckOutcome, number>,
): Buffer {
  return Buffer.concat(
    ids.map((id, position) => encodeField(fields[outcomes[position] ?? 'invalid'], ackIdText(id))),
  );
}

const propertyFields = [0, 1, 2, 3].map((flags) =>
  encodeField(4, Buffer.from([...(flags & 1 ? [1 << 3, 1] : []), ...(flags & 2 ? [2 << 3, 1] : [])])),
);

function properties(isExactlyOnce: boolean, isOrdered: boolean): Buffer {
  return propertyFields[(isExactlyOnce ? 1 : 0) + (isOrdered ? 2 : 0)] as Buffer;
}
