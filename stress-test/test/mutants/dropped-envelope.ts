/** Acknowledges one envelope that it never stores. */
import { startMutant } from './mutant.ts';

let received = 0;

startMutant({
  receive(message, writer) {
    if (++received === 10) message.ack();
    else writer.receive(message);
  },
});
