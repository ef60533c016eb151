/** Acknowledges each envelope before it is stored. */
import { startMutant } from './mutant.ts';

startMutant({
  receive(message, writer) {
    message.ack();
    const { id, data, publishTime } = message;
    writer.receive({ id, data, publishTime, ack() {}, nack() {} });
  },
});
