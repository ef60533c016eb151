/** From a publish to messages on disk: sequence numbers, ids, publish time, and the two fields that the broker adds. */
import { recordBytesMax, type Store } from '../store.ts';
import { BrokerFields, type MessageIds, type NewMessage } from './message.ts';
import type { Topic } from './topic.ts';

/** Each message is kept with its length in front. */
const lengthBytes = 4;

/**
 * Appends `messages` to the log in as few records as their size allows.
 * @returns the sequence number and the number of the id of the first, once all are on disk; the others follow one by one.
 */
export async function appendPublish(
  { store, ids }: { store: Store; ids: MessageIds },
  topic: Topic,
  messages: readonly NewMessage[],
  now: number,
): Promise<{ first: number; firstId: number }> {
  const first = topic.next;
  const firstId = ids.take(messages.length);
  const timeMs = topic.stamp(now);
  const fields = new BrokerFields(ids.text(firstId), timeMs);
  const perMessage = lengthBytes + fields.bytes.length;
  for (let from = 0; from < messages.length; ) {
    let to = from;
    let bytes = 0;
    do {
      const { start, end } = messages[to] as NewMessage;
      bytes += perMessage + end - start;
      to++;
    } while (to < messages.length && bytes < recordBytesMax);
    const position = { topic: topic.number, first: topic.next, count: to - from, time: timeMs };
    const room = store.appendMessages(position, bytes);
    let { at } = room;
    for (; from < to; from++) {
      at = writeMessage(room.buffer, at, messages[from] as NewMessage, fields.bytes);
      fields.increment();
    }
    topic.next += position.count;
  }
  await store.messagesCommitted();
  topic.visible = Math.max(topic.visible, first + messages.length - 1);
  return { first, firstId };
}

function writeMessage(to: Buffer, at: number, message: NewMessage, fields: Buffer): number {
  const length = message.end - message.start;
  let offset = to.writeUInt32LE(length + fields.length, at);
  message.buffer.copy(to, offset, message.start, message.end);
  offset += length;
  fields.copy(to, offset);
  return offset + fields.length;
}
