/**
 * Stores a redelivered envelope again, under new ids. It acknowledges so late that whenever it is killed
 * there are envelopes that are stored and will be redelivered.
 */
import { ObjectId } from 'mongodb';
import { startMutant } from './mutant.ts';

const ackDelayMs = 60_000;

startMutant({
  receive(message, writer) {
    const { id, data, publishTime } = message;
    const ack = () => void setTimeout(() => message.ack(), ackDelayMs);
    writer.receive({ id, data, publishTime, ack, nack: () => message.nack() });
  },
  async store(writes, bulkWriter, records) {
    const ids = writes.map((write) => write._id);
    const stored = await records.find({ _id: { $in: ids } }, { projection: { _id: 1 } }).toArray();
    const storedIds = new Set(stored.map(({ _id }) => _id.toHexString()));
    return bulkWriter.store(
      writes.map((write) =>
        storedIds.has(write._id.toHexString()) ? { ...write, _id: new ObjectId() } : write,
      ),
    );
  },
});
