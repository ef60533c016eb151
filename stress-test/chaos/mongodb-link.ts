/**
 * The writer's way to MongoDB, on which single inserts into the collection `records` and their replies can be answered
 * otherwise: MongoDB's wire protocol, OP_MSG, https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/
 * Everything else passes byte by byte.
 */
import { names } from '@assessment/api/names';
import { BSON, type Document, type ObjectId } from 'mongodb';
import { type Connection, createLink, type Link } from './link.ts';

/** What happens to an insert. */
export interface Treatment {
  /** Whether MongoDB gets it. */
  isForwarded: boolean;
  /** In place of MongoDB's reply; undefined: the writer gets none. */
  reply: () => Promise<Document | undefined> | Document | undefined;
}

/** Asked for each insert, in its order; undefined: it passes. */
type Treat = (ids: ObjectId[]) => Promise<Treatment | undefined> | Treatment | undefined;

export interface MongoDbLink extends Link {
  /** From now on, until it is called with undefined. */
  treatInserts(treat: Treat | undefined): void;
}

export async function createMongoDbLink(targetPort: number): Promise<MongoDbLink> {
  let treat: Treat | undefined;

  function interpose(): Connection {
    const replies = new Map<number, Treatment['reply']>();
    const made: Buffer[] = [];
    let wake = () => {};

    async function* toServer(chunks: AsyncIterable<Buffer>) {
      for await (const message of readMessages(chunks)) {
        const ids = treat && idsOfInsert(message);
        const treatment = ids && (await treat?.(ids));
        const requestId = message.readInt32LE(offsets.requestId);
        if (treatment?.isForwarded) replies.set(requestId, treatment.reply);
        if (!treatment || treatment.isForwarded) yield message;
        else {
          const reply = await treatment.reply();
          if (reply) made.push(encodeReply(requestId, reply));
          wake();
        }
      }
    }

    async function* fromServer(chunks: AsyncIterable<Buffer>) {
      for await (const message of readMessages(chunks)) {
        const requestId = message.readInt32LE(offsets.responseTo);
        const makeReply = replies.get(requestId);
        replies.delete(requestId);
        if (!makeReply) yield message;
        else {
          const reply = await makeReply();
          if (reply) yield encodeReply(requestId, reply);
        }
      }
    }

    /** MongoDB's own messages, and between them those made here. */
    async function* toClient(chunks: AsyncIterable<Buffer>) {
      const messages = fromServer(chunks);
      let next = messages.next();
      for (;;) {
        const woken = new Promise<void>((resolve) => {
          wake = resolve;
        });
        yield* made.splice(0);
        const result = await Promise.race([next, woken]);
        if (!result) continue;
        if (result.done) return;
        yield result.value;
        next = messages.next();
      }
    }

    return { toServer, toClient };
  }

  const link = await createLink(targetPort, { interpose });
  return {
    ...link,
    treatInserts(newTreat) {
      treat = newTreat;
    },
  };
}

/** Of the header, little-endian int32 each: length, requestId, responseTo, opCode; then flags and sections. */
const offsets = { requestId: 4, responseTo: 8, opCode: 12, sections: 20 } as const;
const opMsg = 2013;

/** The messages of one direction of a connection, each whole. */
export async function* readMessages(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of chunks) {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    while (rest.length >= 4 && rest.length >= rest.readInt32LE()) {
      const length = rest.readInt32LE();
      yield rest.subarray(0, length);
      rest = rest.subarray(length);
    }
  }
}

/** The `_id` of each document, undefined for any other message. */
function idsOfInsert(message: Buffer): ObjectId[] | undefined {
  if (message.readInt32LE(offsets.opCode) !== opMsg) return undefined;
  let command: Document | undefined;
  const documents: Document[] = [];
  for (let offset: number = offsets.sections; offset < message.length; ) {
    const kind = message[offset++];
    const size = message.readInt32LE(offset);
    const section = message.subarray(offset, offset + size);
    offset += size;
    if (kind === 0) command = BSON.deserialize(section);
    else documents.push(...readSequence(section));
  }
  if (command?.insert !== names.collection) return undefined;
  return [...documents, ...(command.documents ?? [])].map(({ _id }) => _id as ObjectId);
}

/** Its size, its name as a C string, and documents. */
function* readSequence(section: Buffer): Generator<Document, void> {
  for (let offset = section.indexOf(0, 4) + 1; offset < section.length; ) {
    const size = section.readInt32LE(offset);
    yield BSON.deserialize(section.subarray(offset, offset + size));
    offset += size;
  }
}

function encodeReply(responseTo: number, reply: Document): Buffer {
  const body = BSON.serialize(reply);
  const head = Buffer.alloc(offsets.sections + 1);
  head.writeInt32LE(head.length + body.length);
  head.writeInt32LE(responseTo, offsets.responseTo);
  head.writeInt32LE(opMsg, offsets.opCode);
  return Buffer.concat([head, body]);
}
