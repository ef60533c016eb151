/** A way to MongoDB on which every command is read as it goes by, and held back where a test says so. */
import { BSON, type Document } from 'mongodb';
import { createLink, type Link } from '../stress-test/chaos/link.ts';
import { readMessages } from '../stress-test/chaos/mongodb-link.ts';

/** In OP_MSG, with which drivers send everything but the handshake: the kind of the first section, and its document. */
const offsets = { opCode: 12, kind: 20, document: 21 } as const;
const opMsg = 2013;

export interface WatchedMongoDb extends AsyncDisposable {
  uri: string;
  link: Link;
  /** What was sent so far, without the documents of a bulkWrite, which travel behind their command. */
  commands: Document[];
  /** MongoDB does not get a command for which this is true, so nobody answers it. */
  isHeldBack: (command: Document) => boolean;
}

/** `options` are those of the URI, such as `w=1`. */
export async function watchMongoDb(mongoDb: { uri: string }, options = ''): Promise<WatchedMongoDb> {
  const { port, pathname } = new URL(mongoDb.uri);
  const commands: Document[] = [];
  async function* readCommands(chunks: AsyncIterable<Buffer>) {
    for await (const message of readMessages(chunks)) {
      const command = commandOf(message);
      if (command) commands.push(command);
      if (!command || !watched.isHeldBack(command)) yield message;
    }
  }
  const link = await createLink(Number(port), {
    interpose: () => ({ toServer: readCommands, toClient: (chunks) => chunks }),
  });
  const watched: WatchedMongoDb = {
    uri: `mongodb://127.0.0.1:${link.port}${pathname}?${options}`,
    link,
    commands,
    isHeldBack: () => false,
    [Symbol.asyncDispose]: link.close,
  };
  return watched;
}

function commandOf(message: Buffer): Document | undefined {
  if (message.readInt32LE(offsets.opCode) !== opMsg || message[offsets.kind] !== 0) return undefined;
  const size = message.readInt32LE(offsets.document);
  return BSON.deserialize(message.subarray(offsets.document, offsets.document + size));
}
