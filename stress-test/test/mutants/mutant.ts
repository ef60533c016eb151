/** A writer made of the real writer's modules, with one of them replaced by a faulty one. */
import type { Write } from '@assessment/api/envelope';
import { readEnvironmentOrExit, sharedVariables } from '@assessment/api/environment';
import { createMongoClient, openDatabase } from '@assessment/api/mongo';
import { names } from '@assessment/api/names';
import { createPubSub } from '@assessment/api/pubsub';
import type { Message } from '@google-cloud/pubsub';
import type { Collection } from 'mongodb';
import { z } from 'zod';
import { type BulkWriter, createBulkWriter } from '../../../writer/src/bulk-writer.ts';
import { createCircuitBreaker } from '../../../writer/src/circuit-breaker.ts';
import { createSubscriber } from '../../../writer/src/subscriber.ts';
import { createWaitingRoom } from '../../../writer/src/waiting-room.ts';
import { createWriter, type Writer } from '../../../writer/src/writer.ts';

interface Faults {
  store?: (
    writes: Write[],
    bulkWriter: BulkWriter,
    records: Collection<Write>,
  ) => ReturnType<BulkWriter['store']>;
  receive?: (message: Message, writer: Writer) => void;
}

export function startMutant(faults: Faults): void {
  const config = readEnvironmentOrExit(z.object(sharedVariables));
  const mongo = createMongoClient(config.MONGODB_URI, { appName: 'mutant', poolSizeMax: 3 });
  const records = openDatabase(mongo, config.MONGODB_URI).collection<Write>(names.collection);
  const breaker = createCircuitBreaker({ refusedMax: 100 });
  const { signal } = new AbortController();
  const bulkWriter = createBulkWriter(records, { concurrency: 2, breaker, signal });
  const writer = createWriter({
    bulkWriter: {
      store: (writes) => faults.store?.([...writes], bulkWriter, records) ?? bulkWriter.store(writes),
    },
    breaker,
    deadLetters: {
      async send(message, reason) {
        throw new Error(`message ${message.id} is poison: ${reason}`);
      },
    },
    room: createWaitingRoom({ messagesMax: 1_000, bytesMax: 12 * 1024 * 1024 }),
    batch: { writesMax: 1_000, bytesMax: 4 * 1024 * 1024, ageMaxMs: 20 },
  });
  createSubscriber(createPubSub(config), names.subscription, {
    leasedMessagesMax: 2_000,
    leasedBytesMax: 24 * 1024 * 1024,
    drainTimeoutMs: 1_000,
    onMessage: (message) => (faults.receive ? faults.receive(message, writer) : writer.receive(message)),
    untilSettled: writer.drain,
    onError: (error) => console.error(error.message),
  });
  // What a real writer logs when it is ready.
  console.log(JSON.stringify({ msg: 'listening' }));
}
