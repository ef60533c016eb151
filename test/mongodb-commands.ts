/** A way to MongoDB on which every command is read as it goes by. */
import { BSON, type Document } from 'mongodb';
import { createLink } from '../stress-test/chaos/link.ts';
import { readMessages } from '../stress-test/chaos/mongodb-link.ts';

/** A header of 16 bytes, 4 of flags, and the 1 that says that the command's document follows: OP_MSG. */
const commandOffset = 21;

export interface WatchedMongoDb extends AsyncDisposable {
  uri: string;
  /** What was sent so far, without the documents of a bulkWrite, which travel behind their command. */
  commands: Document[];
}

/** `options` are those of the URI, such as `w=1`. */
export async function watchMongoDb(mongoDb: { uri: string }, options = ''): Promise<WatchedMongoDb> {
  const { port, pathname } = new URL(mongoDb.uri);
  const commands: Document[] = [];
  async function* readCommands(chunks: AsyncIterable<Buffer>) {
    for await (const message of readMessages(chunks)) {
      // Drivers send the handshake in an older form, and all else in this one.
      if (message[commandOffset - 1] === 0 && message.readInt32LE(12) === 2013) {
        commands.push(
          BSON.deserialize(
            message.subarray(commandOffset, commandOffset + message.readInt32LE(commandOffset)),
          ),
        );
      }
      yield message;
    }
  }
  const link = await createLink(Number(port), {
    interpose: () => ({ toServer: readCommands, toClient: (chunks) => chunks }),
  });
  return {
    uri: `mongodb://127.0.0.1:${link.port}${pathname}?${options}`,
    commands,
    [Symbol.asyncDispose]: link.close,
  };
}
