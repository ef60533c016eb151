/** One StreamingPull as a check sees it: what came, and how it ended. */
import pubsub from '@google-cloud/pubsub/build/protos/protos.js';
import type { ClientDuplexStream, ServiceError } from '@grpc/grpc-js';

const { StreamingPullRequest, StreamingPullResponse } = pubsub.google.pubsub.v1;

export type StreamRequest = pubsub.google.pubsub.v1.IStreamingPullRequest;
export type Received = pubsub.google.pubsub.v1.IReceivedMessage;

const waitMs = 45_000;

export class PullStream {
  readonly responses: pubsub.google.pubsub.v1.StreamingPullResponse[] = [];
  readonly received: Received[] = [];
  #call: ClientDuplexStream<Buffer, Buffer>;
  #ended = Promise.withResolvers<ServiceError | undefined>();
  #isEnded = false;
  #changed = () => {};

  constructor(call: ClientDuplexStream<Buffer, Buffer>, first: StreamRequest) {
    this.#call = call;
    call.on('data', (bytes: Buffer) => {
      const response = StreamingPullResponse.decode(bytes);
      this.responses.push(response);
      this.received.push(...response.receivedMessages);
      this.#changed();
    });
    call.on('error', (error: ServiceError) => this.#end(error));
    call.on('end', () => this.#end(undefined));
    this.write(first);
  }

  write(request: StreamRequest): void {
    this.#call.write(Buffer.from(StreamingPullRequest.encode(request).finish()));
  }

  ack(...received: Received[]): void {
    this.write({ ackIds: ackIdsOf(received) });
  }

  nack(...received: Received[]): void {
    this.write({
      modifyDeadlineAckIds: ackIdsOf(received),
      modifyDeadlineSeconds: received.map(() => 0),
    });
  }

  /** The first `count` that came, once there are so many. */
  async take(count: number): Promise<Received[]> {
    await this.until(`${count} messages`, () => this.received.length >= count);
    return this.received.slice(0, count);
  }

  /** @throws Error when the stream ends before, or it takes too long. */
  async until(what: string, condition: () => boolean): Promise<void> {
    const late = AbortSignal.timeout(waitMs);
    while (!condition()) {
      if (this.#isEnded) throw new Error(`the stream ended before ${what}`, { cause: await this.ended });
      if (late.aborted) throw new Error(`after ${waitMs / 1_000} s: ${this.received.length}, not ${what}`);
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#changed = resolve;
      late.addEventListener('abort', () => resolve(), { once: true });
      await promise;
    }
  }

  /** How it ended: undefined is OK. */
  get ended(): Promise<ServiceError | undefined> {
    return this.#ended.promise;
  }

  /** The client's side is done; the server ends the stream then. */
  halfClose(): void {
    this.#call.end();
  }

  cancel(): void {
    if (!this.#isEnded) this.#call.cancel();
  }

  #end(error: ServiceError | undefined): void {
    this.#isEnded = true;
    this.#ended.resolve(error);
    this.#changed();
  }
}

export function ackIdsOf(received: readonly Received[]): string[] {
  return received.map(({ ackId }) => ackId ?? '');
}
