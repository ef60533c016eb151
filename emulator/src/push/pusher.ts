/**
 * One push subscription: a consumer that POSTs what it takes to an endpoint.
 *
 * A message is taken → under way → acked by a status that says so, or nacked by any other, a connection that fails, or
 * no answer before its ack deadline: the lease's own end cuts the request off, so that there is no timer for it.
 * What is under way when the endpoint changes is still answered for. After a crash all of it is pushed again.
 */
import type { ClientRequest, Agent as HttpAgent, IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Broker } from '../broker/broker.ts';
import type { Consumer } from '../broker/consumer.ts';
import type { Lease } from '../broker/lease.ts';
import type { PushSettings } from '../broker/settings.ts';
import type { SharedRoom } from '../broker/shared-room.ts';
import type { Subscription } from '../broker/subscription.ts';
import { Agent, sendRequest } from '../node-http.ts';
import { PushWindow } from './push-window.ts';
import { createPushRequest } from './request.ts';

/** https://cloud.google.com/pubsub/docs/push#receive_push */
const ackingStatuses = new Set([102, 200, 201, 202, 204]);

/** Of one endpoint: beside the window, because messages may be large. */
const underWayBytesMax = 16 * 1024 * 1024;

/** What an endpoint says besides its status is of no use; a longer answer ends the connection. */
const answerBytesMax = 64 * 1024;
const answerSilenceMsMax = 10_000;

export class Pusher implements Consumer {
  readonly takesOnePerKey = true;
  readonly settings: PushSettings;
  #broker: Broker;
  #subscription: Subscription;
  #room: SharedRoom;
  #window: PushWindow;
  #agent: HttpAgent;
  #isHttps: boolean;
  /** Without a request: it could not be made. */
  #underWay = new Map<Lease, ClientRequest | undefined>();
  #underWayBytes = 0;
  #pause: NodeJS.Timeout | undefined;
  #isClosed = false;
  #idle = Promise.withResolvers<void>();

  /** `room` has the bytes of all endpoints. */
  constructor(
    { broker, room }: { broker: Broker; room: SharedRoom },
    subscription: Subscription,
    settings: PushSettings,
  ) {
    this.#broker = broker;
    this.#room = room;
    this.#subscription = subscription;
    this.settings = settings;
    this.#window = new PushWindow(() => performance.now());
    this.#isHttps = settings.endpoint.startsWith('https:');
    this.#agent = new (this.#isHttps ? HttpsAgent : Agent)({ keepAlive: true });
    subscription.addConsumer(this);
  }

  ackDeadlineMs(): number {
    return this.#subscription.settings.ackDeadlineMs;
  }

  wants(bytes: number): boolean {
    if (this.#isClosed || this.#pause) return false;
    const { size } = this.#underWay;
    if (size > 0 && (size >= this.#window.size || this.#underWayBytes + bytes > underWayBytesMax))
      return false;
    if (this.#room.has(bytes)) return true;
    this.#room.wakeWhenFree(this.#subscription);
    return false;
  }

  take(lease: Lease, buffer: Buffer, start: number, end: number): void {
    const { sequence, generation } = lease;
    let request: ClientRequest | undefined;
    const settle = (isAcked: boolean) => {
      if (!this.#forget(lease, request)) return;
      const id = { subscription: this.#subscription.number, epoch: this.#broker.epoch, sequence, generation };
      if (isAcked) this.#window.succeeded();
      else this.#failed();
      if (isAcked) this.#subscription.acknowledge([id]);
      else this.#subscription.modifyDeadlines([id], () => 0);
    };
    try {
      request = this.#send(lease, buffer, start, end);
    } catch {
      // When it has been handed out: within `take` it cannot be nacked.
      setImmediate(settle, false);
    }
    this.#underWay.set(lease, request);
    this.#underWayBytes += lease.bytes;
    this.#room.take(lease.bytes);
    if (request) this.#settleBy(request, settle);
  }

  /** @throws Error when the endpoint or a header cannot be sent. */
  #send(lease: Lease, buffer: Buffer, start: number, end: number): ClientRequest {
    const { name, deadLetterPolicy } = this.#subscription.settings;
    const deliveryAttempt = deadLetterPolicy ? lease.attempts : undefined;
    const message = { buffer, start, end, subscription: name, deliveryAttempt };
    const { headers, body } = createPushRequest(this.settings, message);
    const send = this.#isHttps ? httpsRequest : sendRequest;
    const request = send(this.settings.endpoint, {
      method: 'POST',
      agent: this.#agent,
      headers: { 'user-agent': 'CloudPubSub-Google', ...headers },
    });
    request.end(body);
    return request;
  }

  #settleBy(request: ClientRequest, settle: (isAcked: boolean) => void): void {
    request.on('information', ({ statusCode }) => {
      if (ackingStatuses.has(statusCode)) settle(true);
    });
    request.on('response', (response) => {
      settle(ackingStatuses.has(response.statusCode ?? 0));
      discard(response);
    });
    request.on('error', () => settle(false));
  }

  flush(): void {}

  idle(): void {}

  /** Nobody waits for the answer any more. */
  released(lease: Lease): void {
    const request = this.#underWay.get(lease);
    if (!this.#forget(lease, request)) return;
    request?.destroy();
    // The lease says only after this call what became of it: it is delivered again when its deadline passed, which is
    // the endpoint's failure, and gone after a seek or with its subscription.
    queueMicrotask(() => {
      if (lease.state !== 'gone') this.#failed();
    });
  }

  /** What ends streams and pulls leaves a pusher as it is: its front closes it when its subscription says so. */
  fail(): void {}

  #forget(lease: Lease, request: ClientRequest | undefined): boolean {
    if (!this.#underWay.has(lease) || this.#underWay.get(lease) !== request) return false;
    this.#underWay.delete(lease);
    this.#underWayBytes -= lease.bytes;
    this.#room.giveBack(lease.bytes);
    if (this.#underWay.size === 0 && this.#isClosed) this.#end();
    return true;
  }

  #failed(): void {
    this.#window.failed(this.#subscription.settings.retryPolicy !== undefined);
    const { pauseMs } = this.#window;
    if (pauseMs === 0 || this.#pause || this.#isClosed) return;
    this.#pause = setTimeout(() => {
      this.#pause = undefined;
      this.#subscription.wake();
    }, pauseMs);
  }

  /** Takes nothing more. @returns when what is under way is answered. */
  close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#pause);
    this.#subscription.removeConsumer(this);
    if (this.#underWay.size === 0) this.#end();
    return this.#idle.promise;
  }

  /** Cuts off what is under way. */
  destroy(): void {
    for (const request of this.#underWay.values()) request?.destroy();
  }

  #end(): void {
    this.#agent.destroy();
    this.#idle.resolve();
  }
}

function discard(response: IncomingMessage): void {
  let bytes = 0;
  response.setTimeout(answerSilenceMsMax, () => response.destroy());
  response.on('data', ({ length }: Buffer) => {
    bytes += length;
    if (bytes > answerBytesMax) response.destroy();
  });
  response.on('error', () => {}); // its status was all that mattered
}
