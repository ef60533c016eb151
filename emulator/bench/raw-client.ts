/** Raw gRPC with prepared bytes, so that the client costs little beside the server on a small machine. */
import { Client, credentials, status } from '@grpc/grpc-js';
import { encodeField, FieldScanner, varintBytes, writeVarint } from '../src/protobuf.ts';

export interface PublishPlan {
  count: number;
  perRequest: number;
  /** Of a message's data. */
  bytes: number;
  /** Requests at the same time. */
  underWay?: number;
}

/** A call, or a stream that should bring messages, that says nothing for so long has failed. */
const silenceMsMax = 60_000;
const streamDeadlineSeconds = 60;
/** As the official client; Google's emulator delivers 1,900 messages a second on one. */
const streamCount = 5;
const asBytes = (buffer: Buffer) => buffer;

export type RawClient = ReturnType<typeof createRawClient>;

export function createRawClient(host: string) {
  const client = new Client(host, credentials.createInsecure(), {
    'grpc.max_receive_message_length': -1,
    // Else clients of one address share a connection, and one that failed waits before it tries again.
    'grpc.use_local_subchannel_pool': 1,
  });

  function call(service: string, method: string, request: Buffer): Promise<Buffer> {
    const path = `/google.pubsub.v1.${service}/${method}`;
    return new Promise((resolve, reject) => {
      const deadline = Date.now() + silenceMsMax;
      client.makeUnaryRequest(path, asBytes, asBytes, request, { deadline }, (error, response) => {
        if (error) reject(new Error(`${host} ${method}: ${error.message}`, { cause: error }));
        else resolve(response ?? Buffer.alloc(0));
      });
    });
  }

  function openStream(subscription: string) {
    const path = '/google.pubsub.v1.Subscriber/StreamingPull';
    const stream = client.makeBidiStreamRequest(path, asBytes, asBytes);
    stream.write(streamRequest(subscription));
    return stream;
  }

  return {
    async createTopic(topic: string): Promise<void> {
      await call('Publisher', 'CreateTopic', encodeField(1, topic)).catch((error: Error) => {
        if ((error.cause as { code?: number }).code !== status.ALREADY_EXISTS) throw error;
      });
    },
    async createSubscription(subscription: string, topic: string): Promise<void> {
      const request = Buffer.concat([encodeField(1, subscription), encodeField(2, topic)]);
      await call('Subscriber', 'CreateSubscription', request);
    },
    async deleteBoth(subscription: string, topic: string): Promise<void> {
      await call('Subscriber', 'DeleteSubscription', encodeField(1, subscription));
      await call('Publisher', 'DeleteTopic', encodeField(1, topic));
    },
    async publish(topic: string, plan: PublishPlan): Promise<void> {
      const request = publishRequest(topic, plan.perRequest, plan.bytes);
      let left = Math.ceil(plan.count / plan.perRequest);
      const lanes = Array.from({ length: plan.underWay ?? 4 }, async () => {
        while (left-- > 0) await call('Publisher', 'Publish', request);
      });
      await Promise.all(lanes);
    },
    /** A stream whose acks go back as messages come, a request for each response. Stop it with `cancel`. */
    receive(subscription: string, onMessages: (ids: Buffer[]) => void, onError: (error: Error) => void) {
      const stream = openStream(subscription);
      let isCancelled = false;
      stream.on('error', (error) => {
        if (!isCancelled) onError(new Error(`${host} StreamingPull: ${error.message}`, { cause: error }));
      });
      stream.on('data', (response: Buffer) => {
        const received = readResponse(response);
        if (received.length === 0) return;
        stream.write(Buffer.concat(received.map(({ ackId }) => encodeAckId(ackId))));
        onMessages(received.map(({ messageId }) => messageId));
      });
      return {
        cancel() {
          isCancelled = true;
          stream.cancel();
        },
      };
    },
    /** On several streams. Resolves when `count` messages came and were acked. */
    async deliver(subscription: string, count: number): Promise<void> {
      const finished = Promise.withResolvers<void>();
      const quiet = () => finished.reject(new Error(`${host}: ${received} of ${count} messages came`));
      let timer = setTimeout(quiet, silenceMsMax);
      let received = 0;
      const onMessages = (ids: Buffer[]) => {
        received += ids.length;
        clearTimeout(timer);
        if (received >= count) finished.resolve();
        else timer = setTimeout(quiet, silenceMsMax);
      };
      const streams = Array.from({ length: streamCount }, () =>
        this.receive(subscription, onMessages, finished.reject),
      );
      try {
        await finished.promise;
      } finally {
        clearTimeout(timer);
        for (const stream of streams) stream.cancel();
      }
    },
    close: () => client.close(),
  };
}

function publishRequest(topic: string, perRequest: number, bytes: number): Buffer {
  const message = encodeField(2, encodeField(1, Buffer.alloc(bytes, 'x')));
  return Buffer.concat([encodeField(1, topic), ...Array.from({ length: perRequest }, () => message)]);
}

/** subscription = 1, stream_ack_deadline_seconds = 5, max_outstanding_messages = 7. */
function streamRequest(subscription: string): Buffer {
  const limits = Buffer.alloc(8);
  limits[0] = 5 << 3;
  limits[1] = streamDeadlineSeconds;
  limits[2] = 7 << 3;
  const end = writeVarint(limits, 2_000, 3);
  return Buffer.concat([encodeField(1, subscription), limits.subarray(0, end)]);
}

interface Received {
  ackId: Buffer;
  messageId: Buffer;
}

/** StreamingPullResponse.received_messages = 1; of each ack_id = 1 and message = 2, whose message_id is 3. */
function readResponse(response: Buffer): Received[] {
  const all: Received[] = [];
  const fields = new FieldScanner(response);
  const within = new FieldScanner(response);
  while (fields.next()) {
    if (fields.field !== 1) continue;
    const received = { ackId: response, messageId: response };
    within.reset(response, fields.start, fields.end);
    while (within.next()) {
      if (within.field === 1) received.ackId = response.subarray(within.start, within.end);
      else if (within.field === 2) received.messageId = messageId(response, within.start, within.end);
    }
    all.push(received);
  }
  return all;
}

function messageId(response: Buffer, start: number, end: number): Buffer {
  const fields = new FieldScanner(response, start, end);
  while (fields.next()) if (fields.field === 3) return response.subarray(fields.start, fields.end);
  return response.subarray(0, 0);
}

function encodeAckId(id: Buffer): Buffer {
  const field = Buffer.allocUnsafe(1 + varintBytes(id.length) + id.length);
  field[0] = (2 << 3) | 2;
  id.copy(field, writeVarint(field, id.length, 1));
  return field;
}
